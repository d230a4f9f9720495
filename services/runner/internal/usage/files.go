package usage

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// MaxDepth is how deep directories may lie in one another: each level takes a
// descriptor while it is measured.
const MaxDepth = 256

// batch is how many names of a directory are read at a time.
const batch = 512

// blockSize is the unit of a file's blocks, whatever the file system's is.
const blockSize = 512

// ErrTooDeep says that a directory lies more than MaxDepth levels deep.
var ErrTooDeep = errors.New("directories lie too deep in one another")

// Files is what a tree of files takes.
type Files struct {
	Bytes int64 // on the disk: a hole takes nothing, a file with two names counts once
	Count int   // names: files, links and directories
}

// Tree measures the files below dir. It stops once it has counted more than
// most.
func Tree(dir string, most int) (Files, error) {
	d, err := os.Open(dir)
	if err != nil {
		return Files{}, err
	}
	defer d.Close()
	t := tree{most: most, seen: map[uint64]bool{}}
	if err := t.directory(d, 0); err != nil && !errors.Is(err, errEnough) {
		return t.Files, fmt.Errorf("measure %s: %w", dir, err)
	}
	return t.Files, nil
}

var errEnough = errors.New("counted enough")

type tree struct {
	Files
	most int
	seen map[uint64]bool // files with several names
}

func (t *tree) directory(d *os.File, depth int) error {
	if depth > MaxDepth {
		return ErrTooDeep
	}
	for {
		names, err := d.Readdirnames(batch)
		for _, name := range names {
			if err := t.entry(d, name, depth); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, syscall.ENOENT): // it is being removed
			return nil
		case err != nil:
			return err
		}
	}
}

func (t *tree) entry(d *os.File, name string, depth int) error {
	var st unix.Stat_t
	if err := unix.Fstatat(int(d.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return nil // gone meanwhile
	}
	if t.Count++; t.Count > t.most {
		return errEnough
	}
	isDir := st.Mode&unix.S_IFMT == unix.S_IFDIR
	if !isDir && st.Nlink > 1 {
		if t.seen[st.Ino] {
			return nil
		}
		t.seen[st.Ino] = true
	}
	t.Bytes += st.Blocks * blockSize
	if !isDir {
		return nil
	}
	sub, err := openDirectory(d, name)
	if err != nil {
		return nil // gone meanwhile, or something else by now
	}
	defer sub.Close()
	return t.directory(sub, depth+1)
}

// openDirectory opens a directory also when the job has taken the right to read
// it from itself, which would hide what is in it.
func openDirectory(d *os.File, name string) (*os.File, error) {
	const flags = unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Openat(int(d.Fd()), name, unix.O_RDONLY|flags, 0)
	if errors.Is(err, unix.EACCES) {
		if err := readable(int(d.Fd()), name, unix.O_PATH|flags); err != nil {
			return nil, err
		}
		fd, err = unix.Openat(int(d.Fd()), name, unix.O_RDONLY|flags, 0)
	}
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// readable changes the directory that it has opened, so that nothing put in its
// place meanwhile is changed instead.
func readable(dir int, name string, flags int) error {
	fd, err := unix.Openat(dir, name, flags, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	const ownersOnly = 0o700
	return os.Chmod(fmt.Sprintf("/proc/self/fd/%d", fd), ownersOnly)
}
