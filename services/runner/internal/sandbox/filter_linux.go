package sandbox

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Offsets in struct seccomp_data. Of an argument the low half is enough: the
// kernel reads no more of the ones that are looked at here.
const (
	offsetNumber = 0
	offsetArch   = 4
	offsetArgs   = 16
	argSize      = 8

	x32Bit = 0x40000000
)

var auditArch = map[string]uint32{
	"amd64": unix.AUDIT_ARCH_X86_64,
	"arm64": unix.AUDIT_ARCH_AARCH64,
}

// condition is met by a call whose argument, as far as mask goes, is one of
// values; with not, by a call for which it is none of them.
type condition struct {
	arg    int
	mask   uint32 // 0: the whole argument
	values []uint32
	not    bool
}

// rule allows a system call if all conditions are met, and refuses it with errno
// otherwise; so one without conditions is always refused.
type rule struct {
	call  uint32
	errno unix.Errno
	only  []condition
}

func load(off int) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: uint32(off)}
}

func jump(op uint16, k uint32, yes, no int) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | op | unix.BPF_K, K: k, Jt: uint8(yes), Jf: uint8(no)}
}

func end(k uint32) unix.SockFilter { return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: k} }

func refuse(errno unix.Errno) unix.SockFilter { return end(unix.SECCOMP_RET_ERRNO | uint32(errno)) }

// compile is the part of the program that decides this call: the accumulator
// holds the call's number before it, and after it if the call is another.
func (r rule) compile() []unix.SockFilter {
	var body []unix.SockFilter
	for _, c := range r.only {
		body = append(body, load(offsetArgs+c.arg*argSize))
		if c.mask != 0 {
			body = append(body, unix.SockFilter{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: c.mask})
		}
		for i, v := range c.values {
			// Past the values that follow, and past the refusal or to it.
			past := len(c.values) - 1 - i
			if !c.not {
				past++
			} else if i == len(c.values)-1 {
				body = append(body, jump(unix.BPF_JEQ, v, 0, 1))
				continue
			}
			body = append(body, jump(unix.BPF_JEQ, v, past, 0))
		}
		body = append(body, refuse(r.errno))
	}
	if len(r.only) > 0 {
		body = append(body, end(unix.SECCOMP_RET_ALLOW))
	} else {
		body = append(body, refuse(r.errno))
	}
	return append([]unix.SockFilter{jump(unix.BPF_JEQ, r.call, 0, len(body))}, body...)
}

// filter is the whole program in classic BPF.
func filter(arch uint32) []unix.SockFilter {
	prog := []unix.SockFilter{
		load(offsetArch),
		jump(unix.BPF_JEQ, arch, 1, 0),
		end(unix.SECCOMP_RET_KILL_PROCESS),
		load(offsetNumber),
		jump(unix.BPF_JGE, x32Bit, 0, 1), // the x32 numbering of amd64
		refuse(unix.EACCES),
	}
	for _, r := range rules() {
		prog = append(prog, r.compile()...)
	}
	return append(prog, end(unix.SECCOMP_RET_ALLOW))
}

// restrictCalls puts the filter on every thread and on whatever they start.
func restrictCalls() error {
	arch, ok := auditArch[runtime.GOARCH]
	if !ok {
		return fmt.Errorf("%w: no filter of system calls for %s", ErrUnsupported, runtime.GOARCH)
	}
	prog := filter(arch)
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	fprog := unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}
	// With TSYNC the filter holds for every thread, or for none.
	r, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&fprog))) //nolint:gosec // G103: the system call takes a pointer
	runtime.KeepAlive(prog)
	if errno != 0 {
		return fmt.Errorf("filter of system calls: %w", errno)
	}
	if r != 0 {
		return fmt.Errorf("filter of system calls: thread %d cannot be confined", r)
	}
	return nil
}
