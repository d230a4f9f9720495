package sandbox

import "golang.org/x/sys/unix"

// Flags that are looked for.
const (
	socketType    = 0xf // SOCK_CLOEXEC and SOCK_NONBLOCK are above it
	newNamespaces = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC |
		unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET
	everybody    = 0xffffffff // -1 as a process
	askOnly      = 0xffffffff // personality: say what it is
	ioprioSelf   = 1          // IOPRIO_WHO_PROCESS
	ioprioGroup  = 2          // IOPRIO_WHO_PGRP
	calledItself = 0          // as a process
)

// rules say which system calls a job has not, or only in part. Landlock holds
// files and TCP; what stands here is what Landlock leaves open on some kernel
// that we accept, or what would let a program out of its group.
func rules() []rule {
	out := sockets()
	out = append(out, code()...)
	out = append(out, others()...)
	for _, call := range refused {
		out = append(out, rule{call: call, errno: unix.EACCES})
	}
	// Programs fall back to clone, whose flags can be seen.
	return append(out, rule{call: unix.SYS_CLONE3, errno: unix.ENOSYS})
}

func only(call uint32, conditions ...condition) rule {
	return rule{call: call, errno: unix.EACCES, only: conditions}
}

func without(call uint32, arg int, flags uint32) rule {
	return only(call, condition{arg: arg, mask: flags, values: []uint32{0}})
}

// sockets leaves TCP over IPv4 and IPv6, the one kind of socket that Landlock
// holds on every kernel we accept: it lets UDP, multipath TCP and Unix sockets
// of other processes pass before ABI 9 and 10.
func sockets() []rule {
	return []rule{
		only(unix.SYS_SOCKET,
			condition{arg: 0, values: []uint32{unix.AF_INET, unix.AF_INET6}},
			condition{arg: 1, mask: socketType, values: []uint32{unix.SOCK_STREAM}},
			condition{arg: 2, values: []uint32{0, unix.IPPROTO_TCP}}),
		// Pairs connect a job's programs with its process. One of datagrams could
		// be connected anew, to anybody's socket.
		only(unix.SYS_SOCKETPAIR,
			condition{arg: 0, values: []uint32{unix.AF_UNIX}},
			condition{arg: 1, mask: socketType, values: []uint32{unix.SOCK_STREAM, unix.SOCK_SEQPACKET}}),
		// A message that opens its connection is none that Landlock sees.
		without(unix.SYS_SENDTO, 3, unix.MSG_FASTOPEN),
		without(unix.SYS_SENDMSG, 2, unix.MSG_FASTOPEN),
		without(unix.SYS_SENDMMSG, 3, unix.MSG_FASTOPEN),
	}
}

// code keeps everything but the static programs of the toolbox from being
// executed: no dropped file, shared object or memory becomes code. Landlock
// allows executing files that have no path, so there must be none.
func code() []rule {
	return []rule{
		without(unix.SYS_MMAP, 2, unix.PROT_EXEC),
		without(unix.SYS_MPROTECT, 2, unix.PROT_EXEC),
		without(unix.SYS_PKEY_MPROTECT, 2, unix.PROT_EXEC),
		// READ_IMPLIES_EXEC would make every mapping executable.
		only(unix.SYS_PERSONALITY, condition{arg: 0, values: []uint32{0, askOnly}}),
		{call: unix.SYS_MEMFD_CREATE, errno: unix.EACCES},
		{call: unix.SYS_EXECVEAT, errno: unix.EACCES},
	}
}

// others keeps a job from other processes of its user, where the kernel asks for
// no more than the same user.
func others() []rule {
	self := condition{arg: 0, values: []uint32{calledItself}}
	who := condition{arg: 1, values: []uint32{calledItself}}
	return []rule{
		// Landlock scopes signals from ABI 6 on only.
		only(unix.SYS_KILL, condition{arg: 0, values: []uint32{everybody}, not: true}),
		only(unix.SYS_PRLIMIT64, self),
		only(unix.SYS_SCHED_SETAFFINITY, self), only(unix.SYS_SCHED_SETSCHEDULER, self),
		only(unix.SYS_SCHED_SETPARAM, self), only(unix.SYS_SCHED_SETATTR, self),
		only(unix.SYS_SETPRIORITY, condition{arg: 0, values: []uint32{unix.PRIO_PROCESS, unix.PRIO_PGRP}}, who),
		only(unix.SYS_IOPRIO_SET, condition{arg: 0, values: []uint32{ioprioSelf, ioprioGroup}}, who),
		// The supervisor must be able to see the files a process has open.
		only(unix.SYS_PRCTL, condition{arg: 0, values: []uint32{unix.PR_SET_DUMPABLE}, not: true}),
		// A new user namespace gives its maker every capability in it.
		without(unix.SYS_CLONE, 0, newNamespaces),
	}
}

// refused are system calls that no program of a job needs.
var refused = []uint32{
	// Out of the job's process group, which is killed as a whole.
	unix.SYS_SETSID, unix.SYS_SETPGID,
	// Landlock holds bind, but a socket that was never bound gets a port by this.
	unix.SYS_LISTEN,
	// Makes sockets and opens files without their system calls.
	unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER,
	// Into other processes.
	unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_PROCESS_MADVISE,
	unix.SYS_PROCESS_MRELEASE, unix.SYS_PIDFD_GETFD, unix.SYS_KCMP, unix.SYS_PERF_EVENT_OPEN,
	// Shared by every process of the pod: memory, semaphores, queues and keys.
	unix.SYS_SHMGET, unix.SYS_SHMAT, unix.SYS_SHMCTL, unix.SYS_SEMGET, unix.SYS_SEMCTL,
	unix.SYS_MSGGET, unix.SYS_MSGSND, unix.SYS_MSGRCV, unix.SYS_MSGCTL, unix.SYS_MQ_OPEN, unix.SYS_MQ_UNLINK,
	unix.SYS_KEYCTL, unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY,
	// Other namespaces and other trees of files.
	unix.SYS_UNSHARE, unix.SYS_SETNS, unix.SYS_CHROOT, unix.SYS_PIVOT_ROOT, unix.SYS_MOUNT, unix.SYS_UMOUNT2,
	unix.SYS_FSOPEN, unix.SYS_FSPICK, unix.SYS_FSMOUNT, unix.SYS_OPEN_TREE, unix.SYS_MOVE_MOUNT, unix.SYS_MOUNT_SETATTR,
	// Files by number instead of by path.
	unix.SYS_OPEN_BY_HANDLE_AT,
	// The kernel itself, and large parts of it that few have tried to break.
	unix.SYS_BPF, unix.SYS_USERFAULTFD, unix.SYS_FANOTIFY_INIT, unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE,
	unix.SYS_DELETE_MODULE, unix.SYS_KEXEC_LOAD, unix.SYS_KEXEC_FILE_LOAD, unix.SYS_REBOOT, unix.SYS_SWAPON, unix.SYS_SWAPOFF,
	unix.SYS_ACCT, unix.SYS_QUOTACTL, unix.SYS_SYSLOG, unix.SYS_SETHOSTNAME, unix.SYS_SETDOMAINNAME,
	unix.SYS_SETTIMEOFDAY, unix.SYS_CLOCK_SETTIME, unix.SYS_ADJTIMEX, unix.SYS_CLOCK_ADJTIME,
}
