package rig

import (
	"fmt"
	"os"
	"path/filepath"
)

// Mount is a directory that changes as the volume of a Secret or a ConfigMap in
// a pod does: each state is a directory of its own, and a symbolic link is
// swapped, so that readers see all of one state or all of the next.
type Mount struct {
	dir   string
	state int
}

// NewMount makes an empty volume in dir, which need not exist.
func NewMount(dir string) (*Mount, error) {
	return &Mount{dir: dir}, os.MkdirAll(dir, 0o700)
}

// Path is where a service finds a file of the volume.
func (m *Mount) Path(name string) string { return filepath.Join(m.dir, name) }

// Put replaces the volume's content.
func (m *Mount) Put(files map[string]string) error {
	old := fmt.Sprintf("..%d", m.state)
	m.state++
	fresh := fmt.Sprintf("..%d", m.state)
	if err := os.Mkdir(m.Path(fresh), 0o700); err != nil {
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(m.Path(fresh), name), []byte(content), 0o600); err != nil {
			return err
		}
		if _, err := os.Lstat(m.Path(name)); err == nil {
			continue
		}
		if err := os.Symlink(filepath.Join("..data", name), m.Path(name)); err != nil {
			return err
		}
	}
	if err := os.Symlink(fresh, m.Path("..next")); err != nil {
		return err
	}
	if err := os.Rename(m.Path("..next"), m.Path("..data")); err != nil {
		return err
	}
	return os.RemoveAll(m.Path(old))
}
