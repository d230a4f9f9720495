package workdir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	prefix  = "replica-"
	dirMode = 0o700
)

// Dir is a replica's directory.
type Dir struct {
	Path string

	base *os.Root
	name string
	lock *os.File
}

// Open makes the directory of a replica below base, which is made if need be,
// and removes those of dead ones. Of those that cannot be removed it tells on
// the error that comes with a Dir.
func Open(base, replica string) (*Dir, error) {
	if err := os.MkdirAll(base, dirMode); err != nil {
		return nil, fmt.Errorf("work directory: %w", err)
	}
	root, err := os.OpenRoot(base)
	if err != nil {
		return nil, fmt.Errorf("work directory: %w", err)
	}
	d := &Dir{base: root, name: prefix + replica}
	dead, err := d.register()
	if err != nil {
		_ = root.Close()
		return nil, fmt.Errorf("work directory %s: %w", base, err)
	}
	d.Path = filepath.Join(base, d.name)
	return d, d.bury(dead)
}

// register makes and locks the directory and takes over those of dead replicas.
// It holds the lock of the whole work directory meanwhile, or a directory could
// be taken for dead before it is locked.
func (d *Dir) register() (dead map[string]*os.File, err error) {
	all, err := lock(d.base, ".", unix.LOCK_EX)
	if err != nil {
		return nil, err
	}
	defer all.Close()
	if err := d.base.Mkdir(d.name, dirMode); err != nil {
		return nil, err
	}
	if d.lock, err = lock(d.base, d.name, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, err
	}
	entries, err := fs.ReadDir(d.base.FS(), ".")
	if err != nil {
		return nil, err
	}
	dead = map[string]*os.File{}
	for _, e := range entries {
		if e.Name() == d.name || !e.IsDir() || !strings.HasPrefix(e.Name(), prefix) {
			continue
		}
		if l, err := lock(d.base, e.Name(), unix.LOCK_EX|unix.LOCK_NB); err == nil {
			dead[e.Name()] = l
		}
	}
	return dead, nil
}

// lock opens a directory and locks it; who is started by this process does not hold
// it too.
func lock(root *os.Root, name string, how int) (*os.File, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(f.Fd()), how)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	return f, nil
}

func (d *Dir) bury(dead map[string]*os.File) error {
	var errs []error
	for name, l := range dead {
		if err := RemoveAll(d.base, name); err != nil {
			errs = append(errs, fmt.Errorf("directory of a dead replica: %w", err))
		}
		_ = l.Close()
	}
	return errors.Join(errs...)
}

// Close removes the directory, with all that is in it.
func (d *Dir) Close() error {
	err := RemoveAll(d.base, d.name)
	return errors.Join(err, d.lock.Close(), d.base.Close())
}

// RemoveAll removes a name of root and everything below it, also where a job has
// taken the rights to do so from itself. Nothing of the job may run any more.
func RemoveAll(root *os.Root, name string) error {
	if root.RemoveAll(name) == nil {
		return nil
	}
	_ = fs.WalkDir(root.FS(), name, func(path string, e fs.DirEntry, _ error) error {
		if e != nil && e.IsDir() { // of a link it is not true
			_ = root.Chmod(path, dirMode)
		}
		return nil
	})
	return root.RemoveAll(name)
}
