package workdir

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func opened(t *testing.T, base, replica string) *Dir {
	t.Helper()
	d, err := Open(base, replica)
	must(t, err)
	return d
}

// die lets go of a directory as a killed process does.
func (d *Dir) die() { _ = d.lock.Close() }

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	slices.Sort(out)
	return out
}

func TestDirectoriesOfDeadReplicasAreRemoved(t *testing.T) {
	t.Parallel()
	base := filepath.Join(t.TempDir(), "work")
	alive, dead := opened(t, base, "alive"), opened(t, base, "dead")
	litter(t, dead.Path)
	must(t, os.Mkdir(filepath.Join(base, "somebody's"), 0o700)) // not ours
	must(t, os.WriteFile(filepath.Join(base, "replica-file"), nil, 0o600))
	outside := t.TempDir()
	must(t, os.WriteFile(filepath.Join(outside, "kept"), nil, 0o600))
	must(t, os.Symlink(outside, filepath.Join(base, "replica-link")))
	dead.die()

	next := opened(t, base, "next")
	if diff := cmp.Diff([]string{"replica-alive", "replica-file", "replica-link", "replica-next", "somebody's"}, names(t, base)); diff != "" {
		t.Error(diff)
	}
	if next.Path != filepath.Join(base, "replica-next") || len(names(t, outside)) != 1 {
		t.Errorf("%s, %v", next.Path, names(t, outside))
	}
	must(t, next.Close())
	must(t, alive.Close())
	if got := names(t, base); slices.Contains(got, "replica-next") || slices.Contains(got, "replica-alive") {
		t.Errorf("left: %v", got)
	}
}

// litter leaves what is hard to remove.
func litter(t *testing.T, dir string) {
	t.Helper()
	deep := filepath.Join(dir, "1-x", strings.Repeat("d/", 1500))
	must(t, os.MkdirAll(deep, 0o700))
	locked := filepath.Join(dir, "1-x", "locked", "in")
	must(t, os.MkdirAll(locked, 0o700))
	must(t, os.WriteFile(filepath.Join(locked, "f"), nil, 0o400))
	must(t, os.Symlink("/", filepath.Join(locked, "root")))
	must(t, os.Chmod(locked, 0))
	must(t, os.Chmod(filepath.Dir(locked), 0))
}

// TestWhatAJobLocksIsRemoved also by a user whom modes bind.
func TestWhatAJobLocksIsRemoved(t *testing.T) {
	t.Parallel()
	if os.Getuid() == 0 {
		dir := t.TempDir()
		must(t, os.Chmod(dir, 0o777))
		must(t, os.Chmod(filepath.Dir(dir), 0o755))
		cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$")
		cmd.Env, cmd.Dir = []string{"TMPDIR=" + dir}, dir
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "PASS") {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	base := t.TempDir()
	d := opened(t, base, "dead")
	litter(t, d.Path)
	d.die()
	next := opened(t, base, "next")
	if got := names(t, base); slices.Contains(got, "replica-dead") {
		t.Error(got)
	}
	must(t, next.Close())
}

func TestReplicasThatStartTogetherLeaveEachOtherAlone(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	var all sync.WaitGroup
	for _, name := range strings.Fields("a b c d e f g h i j k l m n o p") {
		all.Go(func() {
			d, err := Open(base, name)
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(func() { _ = d.Close() })
			if err := os.Mkdir(filepath.Join(d.Path, "1-job"), 0o700); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := names(t, base); len(got) != 16 {
		t.Errorf("%v", got)
	}
}

func TestANameThatIsTakenIsRefused(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	opened(t, base, "one")
	if _, err := Open(base, "one"); err == nil {
		t.Error("taken twice")
	}
	file := filepath.Join(base, "file")
	must(t, os.WriteFile(file, nil, 0o600))
	if _, err := Open(file, "one"); err == nil {
		t.Error("a file is no work directory")
	}
}
