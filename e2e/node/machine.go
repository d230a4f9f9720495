//go:build linux

package node

import (
	"bufio"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// programs are what a node needs of the machine, with Debian's packages.
var programs = [][2]string{
	{"containerd", "containerd"},
	{"ctr", "containerd"},
	{"runc", "runc"},
	{"iptables", "iptables"},
	{"ip", "iproute2"},
	{"mount", "mount"},
	{"redis-server", "redis-server"},
	{"redis-cli", "redis-tools"},
	{"busybox", "busybox-static"},
}

// cniDirs are where distributions put the plugins of the container network.
var cniDirs = []string{"/usr/lib/cni", "/opt/cni/bin"}

// cniPlugins are those that the network uses.
var cniPlugins = []string{"ptp", "host-local", "loopback"}

// controllers are the cgroup hierarchies that kubelet and runc want.
var controllers = []string{"cpu", "cpuacct", "cpuset", "memory", "pids", "devices", "freezer", "blkio"}

// Missing says what this machine lacks, each with what to do; empty means that a
// node can run here.
func Missing() []string {
	var missing []string
	if os.Geteuid() != 0 {
		missing = append(missing, "root: namespaces, mounts and a packet filter of its own need it")
	}
	var packages []string
	for _, p := range programs {
		if _, err := exec.LookPath(p[0]); err != nil {
			packages = append(packages, p[1])
		}
	}
	if cniDir() == "" {
		packages = append(packages, "containernetworking-plugins")
	}
	if packages = slices.Compact(packages); len(packages) > 0 {
		missing = append(missing, "programs: apt-get install "+strings.Join(packages, " "))
	}
	if path, err := exec.LookPath("busybox"); err == nil && !static(path) {
		missing = append(missing, "a statically linked busybox: apt-get install busybox-static")
	}
	own, err := ownCgroups()
	if err != nil {
		return append(missing, err.Error())
	}
	for _, c := range controllers {
		if _, ok := own[c]; !ok {
			missing = append(missing, fmt.Sprintf("the cgroup v1 hierarchy %s: boot a machine for this test with systemd.unified_cgroup_hierarchy=0; with cgroup v2 it does not run", c))
		}
	}
	if !overlay() {
		missing = append(missing, "the filesystem overlay")
	}
	return missing
}

// tryMachine says what of a node's namespaces, mounts, cgroups and packet filter
// this machine refuses, although it seems to have them.
func tryMachine() (missing []string, err error) {
	dir, err := os.MkdirTemp("", "towline-node-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	code, err := enter(dir, []string{envTrial + "=1"})
	switch {
	case err != nil:
		return []string{"namespaces, mounts and cgroups of its own: " + err.Error()}, nil
	case code != 0:
		return []string{"namespaces, mounts, cgroups and a packet filter of its own, see above"}, nil
	}
	return nil, nil
}

// tryMounts does, inside, what containerd and kube-proxy will.
func tryMounts(ctx context.Context) error {
	layers := []string{"/run/lower", "/run/upper", "/run/work", "/run/merged"}
	for _, dir := range layers {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", layers[0], layers[1], layers[2])
	if err := unix.Mount("overlay", layers[3], "overlay", 0, options); err != nil {
		return fmt.Errorf("mount of the filesystem overlay: %w", err)
	}
	return command(ctx, "iptables", "--wait", "--table", "nat", "--append", "OUTPUT", "--match", "conntrack", "--ctstate", "NEW",
		"--match", "comment", "--comment", "trial", "--jump", "ACCEPT")
}

func cniDir() string {
	for _, dir := range cniDirs {
		found := true
		for _, p := range cniPlugins {
			found = found && unix.Access(filepath.Join(dir, p), unix.X_OK) == nil
		}
		if found {
			return dir
		}
	}
	return ""
}

// static says whether a program needs no libraries.
func static(path string) bool {
	f, err := elf.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return false
		}
	}
	return true
}

func overlay() bool {
	f, err := os.Open("/proc/filesystems")
	if err != nil {
		return false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if strings.HasSuffix(lines.Text(), "\toverlay") {
			return true
		}
	}
	return false
}
