package main

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

//nolint:gosec // an attacker in tests does what it is told
func files() map[string]attack {
	return map[string]attack{
		"read":  func(a []string) error { return second(os.ReadFile(a[0])) },
		"list":  func(a []string) error { return second(os.ReadDir(a[0])) },
		"write": func(a []string) error { return os.WriteFile(a[0], []byte("x"), 0o600) },
		// A file that is linked into the job's directory would be the job's.
		"hardlink": func(a []string) error { return os.Link(a[0], filepath.Join(os.TempDir(), "hard")) },
		"symlink": func(a []string) error {
			link := filepath.Join(os.TempDir(), "soft")
			_ = os.Remove(link)
			if err := os.Symlink(a[0], link); err != nil {
				return err
			}
			return second(os.ReadFile(link))
		},
		"rename": func(a []string) error { return os.Rename(a[0], filepath.Join(os.TempDir(), "stolen")) },
		"handle": func(a []string) error {
			h, mount, err := unix.NameToHandleAt(unix.AT_FDCWD, a[0], 0)
			if err != nil {
				return err
			}
			_ = mount
			dir, err := os.Open(os.TempDir())
			if err != nil {
				return err
			}
			defer dir.Close()
			return second(unix.OpenByHandleAt(int(dir.Fd()), h, unix.O_RDONLY))
		},
		"chroot":      func(a []string) error { return unix.Chroot(a[0]) },
		"mount":       func(a []string) error { return unix.Mount("proc", a[0], "proc", 0, "") },
		"device":      func(a []string) error { return unix.Mknod(filepath.Join(a[0], "dev"), unix.S_IFBLK|0o600, 1<<8) },
		"socket-file": func(a []string) error { return unix.Mknod(filepath.Join(a[0], "sock"), unix.S_IFSOCK|0o600, 0) },
	}
}

func second[T any](_ T, err error) error { return err }
