//go:build linux

package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// envStage tells the program, started again, how far it is.
	envStage = "TOWLINE_E2E_NODE_STAGE"
	// envName is the name of the cgroups.
	envName = "TOWLINE_E2E_NODE_NAME"
	// envDir is the directory for files.
	envDir = "TOWLINE_E2E_NODE_DIR"

	// envTrial, when not empty, ends what is inside before anything is started.
	envTrial = "TOWLINE_E2E_NODE_TRIAL"

	stageInit   = "init"
	stageInside = "inside"

	exitFailed = 125
)

// enter starts this program again in namespaces of its own, with its arguments
// and further variables, waits for it, and returns its exit code. What it leaves
// on the machine is gone then.
func enter(dir string, env []string) (int, error) {
	name := fmt.Sprintf("towline-node-%d", os.Getpid())
	c, err := newCgroup(name)
	if err != nil {
		return exitFailed, errors.Join(err, c.remove())
	}
	cmd := again(append(env, envStage+"="+stageInit, envName+"="+name, envDir+"="+dir)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS,
		// With its first process all others of a process namespace end.
		Pdeathsig: syscall.SIGKILL,
		Setpgid:   true,
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	runtime.LockOSThread() // the signal above is that of a thread's death
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return exitFailed, errors.Join(fmt.Errorf("namespaces: %w", err), c.remove())
	}
	defer context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })()
	code, err := exitCode(cmd.Wait())
	return code, errors.Join(err, c.remove())
}

// again is this program with its arguments.
func again(env ...string) *exec.Cmd {
	program, err := os.Executable()
	if err != nil {
		program = os.Args[0]
	}
	cmd := exec.Command(program, os.Args[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd
}

func exitCode(err error) (int, error) {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0, nil
	case !errors.As(err, &exit):
		return exitFailed, err
	case exit.ExitCode() < 0:
		return exitFailed, fmt.Errorf("the node's first process: %w", err)
	}
	return exit.ExitCode(), nil
}

// asInit is the first process of the namespaces: it buries the orphans of all
// others, as no test does.
func asInit() (int, error) {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return exitFailed, fmt.Errorf("mounts of its own: %w", err)
	}
	if err := joinCgroup(os.Getenv(envName)); err != nil {
		return exitFailed, err
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return exitFailed, fmt.Errorf("mount /proc: %w", err)
	}
	cmd := again(envStage + "=" + stageInside)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWCGROUP}
	if err := cmd.Start(); err != nil {
		return exitFailed, fmt.Errorf("namespace of cgroups: %w", err)
	}
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return exitFailed, fmt.Errorf("wait: %w", err)
		case pid == cmd.Process.Pid && status.Exited():
			return status.ExitStatus(), nil
		case pid == cmd.Process.Pid:
			return exitFailed, fmt.Errorf("the test ended by %v", status.Signal())
		}
	}
}

// settle gives the namespaces what programs expect to find: places to write
// that are nobody else's, cgroups, and a network that ends here.
func settle(ctx context.Context, dir string) error {
	if err := mountCgroups(); err != nil {
		return err
	}
	for _, dir := range []string{"/run", "/var/lib", "/var/log"} {
		if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
			return fmt.Errorf("mount %s: %w", dir, err)
		}
	}
	if err := nameNode(dir); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"link", "set", "lo", "up"},
		// A bridge without ports: packets for anywhere else have a way, as the
		// components expect, and get no answer there.
		{"link", "add", "name", "node0", "type", "bridge"},
		{"address", "add", nodeAddress + "/24", "dev", "node0"},
		{"address", "add", outsideAddress + "/24", "dev", "node0"},
		{"link", "set", "node0", "up"},
		{"route", "add", "default", "via", gatewayAddress},
	} {
		if err := command(ctx, "ip", args...); err != nil {
			return err
		}
	}
	return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644)
}

// nameNode makes the node's name known, to the API server above all, which asks
// for logs and commands by it.
func nameNode(dir string) error {
	if err := unix.Sethostname([]byte(nodeName)); err != nil {
		return fmt.Errorf("name: %w", err)
	}
	hosts := filepath.Join(dir, "hosts")
	if err := os.WriteFile(hosts, []byte("127.0.0.1 localhost\n"+nodeAddress+" "+nodeName+"\n"), 0o644); err != nil {
		return err
	}
	if err := unix.Mount(hosts, "/etc/hosts", "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount /etc/hosts: %w", err)
	}
	return nil
}

// command runs a program to its end.
func command(ctx context.Context, name string, args ...string) error {
	if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %q: %w: %s", filepath.Base(name), args, err, out)
	}
	return nil
}
