package agentconfig

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/towline/towline/pkg/strictyaml"
)

// ErrMissing is returned when there is no configuration file at a path.
var ErrMissing = errors.New("no configuration file")

// Loaded is a configuration read from disk.
type Loaded struct {
	Config   *Config
	Notices  []strictyaml.Notice
	Revision string // of the file's bytes
}

// Load reads path, which is a file or a directory with a config.yaml in it. The
// file is named in faults as path names it.
func Load(path string, opts Options) (*Loaded, error) {
	name, content, err := read(path)
	if err != nil {
		return nil, err
	}
	return load(name, content, opts)
}

func load(name string, content []byte, opts Options) (*Loaded, error) {
	cfg, notices, err := Parse(name, content, opts)
	if err != nil {
		return nil, err
	}
	return &Loaded{Config: cfg, Notices: notices, Revision: Revision(content)}, nil
}

// read returns the file's name and its bytes, at most one byte more than
// MaxFile, which Parse then refuses.
func read(path string) (name string, content []byte, err error) {
	name = path
	info, err := os.Stat(name)
	if err == nil && info.IsDir() {
		name = filepath.Join(path, FileName)
		info, err = os.Stat(name)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil, fmt.Errorf("%s: %w; create the file (it may be empty) or correct the path", name, ErrMissing)
	case err != nil:
		return "", nil, err
	case !info.Mode().IsRegular():
		return "", nil, fmt.Errorf("%s: not a regular file; give a file or a directory that holds %s", name, FileName)
	}
	f, err := os.Open(name)
	if err != nil {
		return "", nil, err
	}
	defer f.Close()
	content, err = io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		return "", nil, fmt.Errorf("read %s: %w", name, err)
	}
	return name, content, nil
}
