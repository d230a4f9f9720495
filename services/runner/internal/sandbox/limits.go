package sandbox

import (
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/psx"
)

// Limits of each process of a job. Zero leaves a limit as it is.
type Limits struct {
	Memory    int64 `json:"memory"`    // bytes of data, RLIMIT_DATA
	FileSize  int64 `json:"file_size"` // bytes of one file, RLIMIT_FSIZE
	Processes int   `json:"processes"` // processes and threads of the whole user, RLIMIT_NPROC
}

const (
	maxOpenFiles = 4096
	privateUmask = 0o077
	// victim is the oom_score_adj of a job's processes: short of memory, the
	// kernel ends them and not the supervisor.
	victim = 500
	// Near its limit a process collects garbage more often, before the kernel
	// gives it no more memory.
	softNumerator, softDenominator = 3, 4
	// stackShare is the part of the memory that one stack may take. It grows by
	// being copied to one twice as large.
	stackShare = 4
)

// limit holds for this process and for all that it starts.
func limit(l Limits) error {
	for _, r := range []struct {
		name     string
		resource int
		max      uint64
	}{
		{"core dumps", unix.RLIMIT_CORE, 0},
		{"open files", unix.RLIMIT_NOFILE, maxOpenFiles},
		{"memory", unix.RLIMIT_DATA, orUnlimited(l.Memory)},
		{"file size", unix.RLIMIT_FSIZE, orUnlimited(l.FileSize)},
		{"processes", unix.RLIMIT_NPROC, orUnlimited(int64(l.Processes))},
	} {
		var now unix.Rlimit
		if err := unix.Getrlimit(r.resource, &now); err != nil {
			return fmt.Errorf("limit of %s: %w", r.name, err)
		}
		most := min(now.Max, r.max)
		if err := unix.Setrlimit(r.resource, &unix.Rlimit{Cur: most, Max: most}); err != nil {
			return fmt.Errorf("limit of %s: %w", r.name, err)
		}
	}
	if l.Memory > 0 {
		debug.SetMemoryLimit(l.Memory / softDenominator * softNumerator)
		// So that endless recursion is called by its name, and not "out of memory".
		debug.SetMaxStack(int(l.Memory / stackShare))
	}
	// A write beyond the limit shall fail with an error, not kill the program.
	signal.Ignore(syscall.SIGXFSZ)
	if err := os.WriteFile("/proc/self/oom_score_adj", []byte(strconv.Itoa(victim)), 0); err != nil {
		return fmt.Errorf("order in which the kernel ends processes: %w", err)
	}
	return nil
}

func orUnlimited(n int64) uint64 {
	if n <= 0 {
		return unix.RLIM_INFINITY
	}
	return uint64(n)
}

// dropCapabilities makes root of a development machine what a job is in a pod.
// With no_new_privs no program gets them back.
func dropCapabilities() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	_, _, errno := psx.Syscall3(unix.SYS_CAPSET,
		uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&none[0])), 0) //nolint:gosec // G103: the system call takes pointers
	if errno != 0 {
		return fmt.Errorf("capabilities: %w", errno)
	}
	return nil
}
