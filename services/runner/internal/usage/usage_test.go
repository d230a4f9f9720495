package usage

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/towline/towline/pkg/eventually"
)

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func file(tb testing.TB, path string, size int) {
	tb.Helper()
	must(tb, os.MkdirAll(filepath.Dir(path), 0o755))
	must(tb, os.WriteFile(path, make([]byte, size), 0o600))
}

func measured(t *testing.T, dir string, most int) Files {
	t.Helper()
	f, err := Tree(dir, most)
	must(t, err)
	return f
}

// onDisk checks a size, give or take what directories and their file system add.
func onDisk(t *testing.T, got, want int64) {
	t.Helper()
	const more = 256 << 10
	if got < want || got > want+more {
		t.Errorf("%d bytes, want about %d", got, want)
	}
}

func TestATreeIsMeasuredAsItLiesOnTheDisk(t *testing.T) {
	t.Parallel()
	dir, outside := t.TempDir(), t.TempDir()
	file(t, filepath.Join(dir, "a/b/one"), 1<<20)
	file(t, filepath.Join(dir, "two"), 1<<20)
	file(t, filepath.Join(outside, "big"), 8<<20)
	must(t, os.Link(filepath.Join(dir, "two"), filepath.Join(dir, "a/again")))
	must(t, os.Symlink(outside, filepath.Join(dir, "link")))
	must(t, os.Truncate(filepath.Join(dir, "two"), 10<<30)) // a hole
	f := measured(t, dir, 1000)
	if f.Count != 6 { // a, a/b, one, two, again, link
		t.Errorf("%d names", f.Count)
	}
	onDisk(t, f.Bytes, 2<<20)
}

func TestADirectoryThatCannotBeReadHidesNothing(t *testing.T) {
	t.Parallel()
	if os.Getuid() == 0 {
		out := as(t, 65534, "TestADirectoryThatCannotBeReadHidesNothing")
		if !strings.Contains(out, "PASS") {
			t.Error(out)
		}
		return
	}
	dir := t.TempDir()
	file(t, filepath.Join(dir, "hidden/f"), 1<<20)
	must(t, os.Chmod(filepath.Join(dir, "hidden"), 0))
	onDisk(t, measured(t, dir, 10).Bytes, 1<<20)
}

// as runs a test of this package as another user, whom modes bind.
func as(t *testing.T, uid uint32, test string) string {
	t.Helper()
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o777))
	must(t, os.Chmod(filepath.Dir(dir), 0o755))
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+test+"$")
	cmd.Env, cmd.Dir = []string{"TMPDIR=" + dir}, dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v", err)
	}
	return string(out)
}

func TestCountingEnds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i := range 50 {
		file(t, filepath.Join(dir, fmt.Sprint(i)), 0)
	}
	if f := measured(t, dir, 20); f.Count != 21 {
		t.Errorf("counted %d", f.Count)
	}
}

func TestDirectoriesThatLieTooDeepAreRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, strings.Repeat("d/", MaxDepth)), 0o755))
	if f := measured(t, dir, 1000); f.Count != MaxDepth {
		t.Errorf("counted %d", f.Count)
	}
	must(t, os.MkdirAll(filepath.Join(dir, strings.Repeat("d/", MaxDepth+1)), 0o755))
	if _, err := Tree(dir, 1000); !errors.Is(err, ErrTooDeep) {
		t.Error(err)
	}
}

// TestATreeThatChangesMeanwhile replaces directories by links while it is
// measured; nothing outside may be counted.
func TestATreeThatChangesMeanwhile(t *testing.T) {
	t.Parallel()
	dir, outside := t.TempDir(), t.TempDir()
	file(t, filepath.Join(outside, "big"), 16<<20)
	file(t, filepath.Join(dir, "d/small"), 1)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			_ = os.Rename(filepath.Join(dir, "d"), filepath.Join(dir, "away"))
			_ = os.Symlink(outside, filepath.Join(dir, "d"))
			_ = os.Remove(filepath.Join(dir, "d"))
			_ = os.Rename(filepath.Join(dir, "away"), filepath.Join(dir, "d"))
		}
	}()
	for range 500 {
		if f := measured(t, dir, 100); f.Bytes > 1<<20 {
			t.Fatalf("%d bytes", f.Bytes)
		}
	}
	close(stop)
	<-stopped
}

// sleepers starts processes in a group of their own.
func sleepers(t *testing.T, script string) int {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", script)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Dir = t.TempDir()
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	})
	return cmd.Process.Pid
}

func TestTheProcessesOfAGroupAreCounted(t *testing.T) {
	t.Parallel()
	one, two := sleepers(t, "sleep 60 & sleep 60 & wait"), sleepers(t, "sleep 60 & wait")
	var c Census
	eventually.Is(t, "both groups are counted", func() bool {
		a, err := c.Group(one)
		must(t, err)
		b, err := c.Group(two)
		must(t, err)
		return len(a.IDs) == 3 && len(b.IDs) == 2 && a.Resident > 100<<10 && a.Resident < 100<<20
	})
	if g, err := c.Group(-1); err != nil || len(g.IDs) != 0 {
		t.Errorf("no group: %+v, %v", g, err)
	}
}

func TestDeletedFilesCountAsLongAsTheyAreOpen(t *testing.T) {
	t.Parallel()
	here := t.TempDir()
	group := sleepers(t, "head -c 2097152 /dev/zero > f; head -c 1048576 /dev/zero > g; exec 3<f 4<f 5<g; rm f; sleep 60 & wait")
	var c Census
	eventually.Is(t, "the deleted file is seen", func() bool {
		g, err := c.Group(group)
		must(t, err)
		n, err := g.Deleted(here)
		must(t, err)
		return n == 2<<20
	})
}

func BenchmarkTree(b *testing.B) {
	dir := b.TempDir()
	for i := range 10_000 {
		file(b, filepath.Join(dir, fmt.Sprint(i%100), fmt.Sprint(i)), 1)
	}
	for b.Loop() {
		if _, err := Tree(dir, 1<<20); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCensus(b *testing.B) {
	for b.Loop() {
		if _, err := count(); err != nil {
			b.Fatal(err)
		}
	}
}
