//go:build linux

package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const cgroupRoot = "/sys/fs/cgroup"

// cgroup is one directory of this package in each mounted hierarchy of cgroup
// v1, below the caller's own, so that its limits and its accounts hold.
type cgroup struct {
	dirs map[string]string // by controllers as in /proc/self/cgroup, for example "cpu,cpuacct"
}

// ownCgroups are the caller's directories by controller.
func ownCgroups() (map[string]string, error) {
	hierarchies, err := ownHierarchies()
	if err != nil {
		return nil, err
	}
	dirs := map[string]string{}
	for names, dir := range hierarchies {
		for _, c := range strings.Split(names, ",") {
			dirs[c] = dir
		}
	}
	return dirs, nil
}

// ownHierarchies are the caller's directories by the hierarchy's controllers.
func ownHierarchies() (map[string]string, error) {
	raw, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, fmt.Errorf("cgroups: %w", err)
	}
	dirs := map[string]string{}
	for _, line := range strings.Split(strings.TrimSpace(string(raw)), "\n") {
		fields := strings.SplitN(line, ":", 3)
		if len(fields) != 3 || fields[1] == "" {
			continue
		}
		if dir := filepath.Join(mountpoint(fields[1]), fields[2]); isDir(dir) {
			dirs[fields[1]] = dir
		}
	}
	return dirs, nil
}

// mountpoint is where a hierarchy is mounted by its controllers, or by its name
// where it has none, as systemd's.
func mountpoint(hierarchy string) string {
	return filepath.Join(cgroupRoot, strings.TrimPrefix(hierarchy, "name="))
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// newCgroup makes the directories.
func newCgroup(name string) (*cgroup, error) {
	own, err := ownHierarchies()
	if err != nil {
		return nil, err
	}
	c := &cgroup{dirs: map[string]string{}}
	for names, parent := range own {
		dir := filepath.Join(parent, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			return c, fmt.Errorf("cgroup: %w", err)
		}
		c.dirs[names] = dir
		if !slices.Contains(strings.Split(names, ","), "cpuset") {
			continue
		}
		// A new set of CPUs is empty and takes no process.
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			value, err := os.ReadFile(filepath.Join(parent, file))
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, file), value, 0o644)
			}
			if err != nil {
				return c, fmt.Errorf("cgroup: %w", err)
			}
		}
	}
	return c, nil
}

// joinCgroup moves the calling process into the directories.
func joinCgroup(name string) error {
	own, err := ownHierarchies()
	if err != nil {
		return err
	}
	for _, parent := range own {
		if err := os.WriteFile(filepath.Join(parent, name, "cgroup.procs"), []byte("0"), 0o644); err != nil {
			return fmt.Errorf("cgroup: %w", err)
		}
	}
	return nil
}

// remove removes the directories once their last process has gone.
func (c *cgroup) remove() error {
	const within, every = 15 * time.Second, 50 * time.Millisecond
	end := time.Now().Add(within)
	for {
		var errs []error
		for _, dir := range c.dirs {
			errs = append(errs, removeTree(dir))
		}
		err := errors.Join(errs...)
		if err == nil || time.Now().After(end) {
			return err
		}
		<-time.After(every)
	}
}

// removeTree removes a cgroup with those below it. Their files go by themselves.
func removeTree(dir string) error {
	var dirs []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			dirs = append(dirs, path)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, d := range slices.Backward(dirs) {
		if err := unix.Rmdir(d); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("cgroup %s: %w", d, err)
		}
	}
	return nil
}

// mountCgroups mounts each hierarchy anew, where the caller's own cgroups are
// the root, in its mount and cgroup namespace.
func mountCgroups() error {
	hierarchies, err := ownHierarchies()
	if err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", cgroupRoot, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=755"); err != nil {
		return fmt.Errorf("mount %s: %w", cgroupRoot, err)
	}
	for names := range hierarchies {
		dir := mountpoint(names)
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		which := names
		if strings.HasPrefix(names, "name=") {
			which = "none," + names
		}
		if err := unix.Mount("cgroup", dir, "cgroup", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, which); err != nil {
			return fmt.Errorf("mount %s: %w", dir, err)
		}
		for _, one := range strings.Split(names, ",") {
			if one != names {
				if err := os.Symlink(names, filepath.Join(cgroupRoot, one)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
