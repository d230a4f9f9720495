package usage

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// fresh is how long a census is good for, so that many jobs can share one.
const fresh = 500 * time.Millisecond

// Group is what the processes of a process group take.
type Group struct {
	Resident int64 // bytes of memory; what two processes share counts twice
	IDs      []int // of the processes, dead ones that nobody has buried included
}

// Census counts processes by their group. It is safe for concurrent use; the
// zero value is ready.
type Census struct {
	mu     sync.Mutex
	taken  time.Time
	groups map[int]Group
}

// Group returns what the group takes, as of half a second ago at most.
func (c *Census) Group(id int) (Group, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.taken) > fresh {
		groups, err := count()
		if err != nil {
			return Group{}, fmt.Errorf("count processes: %w", err)
		}
		c.groups, c.taken = groups, time.Now()
	}
	return c.groups[id], nil
}

func count() (map[int]Group, error) {
	proc, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer proc.Close()
	names, err := proc.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	groups := map[int]Group{}
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if group, resident, ok := status(pid); ok {
			g := groups[group]
			g.Resident += resident
			g.IDs = append(g.IDs, pid)
			groups[group] = g
		}
	}
	return groups, nil
}

// Places in /proc/PID/stat after the program's name, which may hold anything.
const (
	statGroup    = 2
	statResident = 21
)

func status(pid int) (group int, resident int64, ok bool) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, false // gone meanwhile
	}
	f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(f) <= statResident {
		return 0, 0, false
	}
	group, err = strconv.Atoi(string(f[statGroup]))
	if err != nil {
		return 0, 0, false
	}
	pages, err := strconv.ParseInt(string(f[statResident]), 10, 64)
	return group, pages * int64(os.Getpagesize()), err == nil
}

// Memory is what the processes take together, in bytes. It costs more to know
// than Resident, and is never more than that.
func (g Group) Memory() int64 {
	var sum int64
	for _, pid := range g.IDs {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			continue // gone meanwhile
		}
		_, after, _ := bytes.Cut(b, []byte("\nPss:"))
		if f := bytes.Fields(after); len(f) > 0 {
			n, _ := strconv.ParseInt(string(f[0]), 10, 64)
			sum += n << 10 // kB
		}
	}
	return sum
}

// Deleted is how many bytes files take that have no name any more and stay as
// long as one of the processes has them open. Only files on the file system of
// dir count.
func (g Group) Deleted(dir string) (int64, error) {
	var home unix.Stat_t
	if err := unix.Stat(dir, &home); err != nil {
		return 0, fmt.Errorf("measure %s: %w", dir, err)
	}
	seen := map[uint64]bool{}
	var sum int64
	for _, pid := range g.IDs {
		base := fmt.Sprintf("/proc/%d/fd/", pid)
		d, err := os.Open(base)
		if err != nil {
			continue // gone meanwhile
		}
		names, _ := d.Readdirnames(-1)
		_ = d.Close()
		for _, name := range names {
			var st unix.Stat_t
			if unix.Stat(base+name, &st) != nil || st.Nlink > 0 || st.Mode&unix.S_IFMT != unix.S_IFREG || st.Dev != home.Dev || seen[st.Ino] {
				continue
			}
			seen[st.Ino] = true
			sum += st.Blocks * blockSize
		}
	}
	return sum, nil
}
