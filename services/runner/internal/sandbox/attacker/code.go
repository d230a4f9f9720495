package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"unsafe"

	"golang.org/x/sys/unix"
)

const page = 4096

//nolint:gosec,noctx // an attacker in tests does what it is told
func code() map[string]attack {
	return map[string]attack{
		"exec": func(a []string) error { return exec.Command(a[0], a[1:]...).Run() },
		"execveat": func(a []string) error {
			f, err := os.Open(a[0])
			if err != nil {
				return err
			}
			return execDescriptor(int(f.Fd()))
		},
		"exec-fd": func(a []string) error {
			f, err := os.Open(a[0])
			if err != nil {
				return err
			}
			defer f.Close()
			return exec.Command(fmt.Sprintf("/proc/self/fd/%d", f.Fd())).Run()
		},
		"memfd":    memfd,
		"map-file": mapFile,
		"map-anonymous": func([]string) error {
			return second(unix.Mmap(-1, 0, page, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANON))
		},
		"protect": func([]string) error {
			m, err := unix.Mmap(-1, 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
			if err != nil {
				return err
			}
			return unix.Mprotect(m, unix.PROT_READ|unix.PROT_EXEC)
		},
		"personality": func([]string) error {
			const readImpliesExec = 0x0400000
			return call(unix.SYS_PERSONALITY, readImpliesExec)
		},
		"shared-memory": func([]string) error {
			const mode = 0o600
			return call(unix.SYS_SHMGET, unix.IPC_PRIVATE, page, unix.IPC_CREAT|mode)
		},
	}
}

// memfd executes a copy of a program that has no path.
//
//nolint:gosec // an attacker in tests does what it is told
func memfd(a []string) error {
	fd, err := unix.MemfdCreate("code", 0)
	if err != nil {
		return err
	}
	to, from := os.NewFile(uintptr(fd), "memfd"), io.Reader(nil)
	program, err := os.Open(a[0])
	if err != nil {
		return err
	}
	from = program
	if _, err := io.Copy(to, from); err != nil {
		return err
	}
	return execDescriptor(fd)
}

// execDescriptor replaces this process: it only returns if that is refused.
//
//nolint:gosec // an attacker in tests does what it is told
func execDescriptor(fd int) error {
	empty, argv := [1]byte{}, [2]*byte{}
	name := []byte("x\x00")
	argv[0] = &name[0]
	return call(unix.SYS_EXECVEAT, uintptr(fd), uintptr(unsafe.Pointer(&empty)), uintptr(unsafe.Pointer(&argv)), 0, unix.AT_EMPTY_PATH)
}

//nolint:gosec // an attacker in tests does what it is told
func mapFile(a []string) error {
	f, err := os.Open(a[0])
	if err != nil {
		return err
	}
	defer f.Close()
	return second(unix.Mmap(int(f.Fd()), 0, page, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE))
}
