package main

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

//nolint:gosec,noctx // an attacker in tests does what it is told
func processes() map[string]attack {
	proc := func(file string) attack {
		return func(a []string) error { return second(os.ReadFile("/proc/" + a[0] + "/" + file)) }
	}
	return map[string]attack{
		"environ": proc("environ"),
		"cmdline": proc("cmdline"),
		"mem": func(a []string) error {
			f, err := os.OpenFile("/proc/"+a[0]+"/mem", os.O_RDWR, 0)
			if err == nil {
				f.Close()
			}
			return err
		},
		"ptrace": on(unix.PtraceAttach),
		"readv": on(func(pid int) error {
			var buf [8]byte
			local := []unix.Iovec{{Base: &buf[0], Len: 8}}
			remote := []unix.RemoteIovec{{Base: uintptr(unsafe.Pointer(&buf)), Len: 8}}
			return second(unix.ProcessVMReadv(pid, local, remote, 0))
		}),
		"pidfd-getfd": on(func(pid int) error {
			fd, err := unix.PidfdOpen(pid, 0)
			if err != nil {
				return err
			}
			return second(unix.PidfdGetfd(fd, 0, 0))
		}),
		"signal":     on(func(pid int) error { return unix.Kill(pid, 0) }), // scoped from Landlock ABI 6 on
		"signal-all": func([]string) error { return unix.Kill(-1, 0) },
		"limit":      on(func(pid int) error { return unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &unix.Rlimit{}) }),
		"nice":       on(func(pid int) error { return unix.Setpriority(unix.PRIO_PROCESS, pid, 19) }),
		"nice-user":  func([]string) error { return unix.Setpriority(unix.PRIO_USER, 0, 19) },
		"affinity": on(func(pid int) error {
			var set unix.CPUSet
			set.Set(0)
			return unix.SchedSetaffinity(pid, &set)
		}),
		"setsid":  func([]string) error { return second(unix.Setsid()) },
		"setpgid": func([]string) error { return unix.Setpgid(0, 0) },
		"child-setsid": func([]string) error {
			cmd := exec.Command(os.Args[0], "signal", strconv.Itoa(os.Getpid()))
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
			return started(cmd)
		},
		"unshare": func([]string) error { return unix.Unshare(unix.CLONE_NEWUSER) },
		"clone": func([]string) error {
			cmd := exec.Command(os.Args[0])
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER}
			return started(cmd)
		},
		"clone3":      func([]string) error { return call(unix.SYS_CLONE3, 0, 0) },
		"bpf":         func([]string) error { return call(unix.SYS_BPF, 0, 0, 0) },
		"setuid":      func([]string) error { return unix.Setresuid(1, 1, 1) },
		"undumpable":  func([]string) error { return unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) },
		"fewer-kills": func([]string) error { return os.WriteFile("/proc/self/oom_score_adj", []byte("-1000"), 0) },
	}
}

func on(do func(pid int) error) attack {
	return func(a []string) error {
		pid, err := strconv.Atoi(a[0])
		if err != nil {
			return fmt.Errorf("process %s: %w", a[0], err)
		}
		return do(pid)
	}
}

// started says whether a command could be started, whatever it does.
func started(cmd *exec.Cmd) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	_ = cmd.Wait()
	return nil
}

//nolint:gosec // an attacker in tests does what it is told
func pointer(b []byte) uintptr { return uintptr(unsafe.Pointer(&b[0])) }
