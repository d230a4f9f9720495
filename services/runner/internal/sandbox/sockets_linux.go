package sandbox

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Offsets in struct seccomp_data, and the architecture's own number.
const (
	offsetNumber = 0
	offsetArch   = 4
	offsetArg0   = 16
	offsetArg1   = 24
	offsetArg2   = 32

	socketTypeMask = 0xf // SOCK_CLOEXEC and SOCK_NONBLOCK are above it
	x32Bit         = 0x40000000
)

var auditArch = map[string]uint32{
	"amd64": unix.AUDIT_ARCH_X86_64,
	"arm64": unix.AUDIT_ARCH_AARCH64,
}

// restrictSockets leaves a process only TCP over IPv4 and IPv6, the one kind of
// socket that Landlock holds on every kernel we accept: Landlock lets UDP,
// multipath TCP and other processes' Unix sockets pass before ABI 9 and 10.
// io_uring, which makes sockets without the system call, is refused as a whole.
// It also refuses the ways to reach into other processes.
func restrictSockets() error {
	arch, ok := auditArch[runtime.GOARCH]
	if !ok {
		return fmt.Errorf("%w: no socket filter for %s", ErrUnsupported, runtime.GOARCH)
	}
	prog := socketFilter(arch)
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	fprog := unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}
	// With TSYNC the filter holds for every thread, or for none.
	r, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&fprog))) //nolint:gosec // G103: the system call takes a pointer
	runtime.KeepAlive(prog)
	if errno != 0 {
		return fmt.Errorf("socket filter: %w", errno)
	}
	if r != 0 {
		return fmt.Errorf("socket filter: thread %d cannot be confined", r)
	}
	return nil
}

// denied are system calls no command of a job needs.
var denied = []uint32{
	unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV,
	unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER,
	unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD, unix.SYS_KEYCTL,
	unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY, unix.SYS_PIDFD_GETFD,
}

// socketFilter is the program in classic BPF.
func socketFilter(arch uint32) []unix.SockFilter {
	load := func(off uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: off}
	}
	jump := func(op uint16, k uint32, yes, no uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | op | unix.BPF_K, K: k, Jt: yes, Jf: no}
	}
	ret := func(k uint32) unix.SockFilter { return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: k} }
	deny := ret(unix.SECCOMP_RET_ERRNO | uint32(unix.EACCES))
	allow := ret(unix.SECCOMP_RET_ALLOW)

	prog := []unix.SockFilter{
		load(offsetArch),
		jump(unix.BPF_JEQ, arch, 1, 0),
		ret(unix.SECCOMP_RET_KILL_PROCESS),
		load(offsetNumber),
		jump(unix.BPF_JGE, x32Bit, 0, 1), // the x32 numbering of amd64
		deny,
	}
	for _, nr := range denied {
		prog = append(prog, jump(unix.BPF_JEQ, nr, 0, 1), deny)
	}
	return append(prog,
		jump(unix.BPF_JEQ, unix.SYS_SOCKET, 1, 0),
		allow,
		load(offsetArg0), // family
		jump(unix.BPF_JEQ, unix.AF_INET, 2, 0),
		jump(unix.BPF_JEQ, unix.AF_INET6, 1, 0),
		deny,
		load(offsetArg1), // type
		unix.SockFilter{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: socketTypeMask},
		jump(unix.BPF_JEQ, unix.SOCK_STREAM, 1, 0),
		deny,
		load(offsetArg2), // protocol
		jump(unix.BPF_JEQ, 0, 1, 0),
		jump(unix.BPF_JEQ, unix.IPPROTO_TCP, 0, 1),
		allow,
		deny,
	)
}
