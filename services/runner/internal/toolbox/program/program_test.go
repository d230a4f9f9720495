package program

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

func busybox(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal("these tests need a static busybox; on Debian or Ubuntu: apt-get install busybox-static")
	}
	return path
}

func TestAppletsAreThoseThatBusyboxLists(t *testing.T) {
	got, err := Applets(busybox(t))
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), busybox(t), "--list").Output()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Fields(string(out)), got); diff != "" {
		t.Error(diff)
	}
}

func TestInspectTellsStaticFromDynamic(t *testing.T) {
	info, err := Inspect(busybox(t))
	if err != nil || info.Loader != "" || info.Version == "" {
		t.Errorf("busybox: %+v, %v", info, err)
	}
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Fatal("these tests need bash; on Debian or Ubuntu: apt-get install bash")
	}
	if info, err = Inspect(bash); err != nil || info.Loader == "" {
		t.Errorf("bash: %+v, %v", info, err)
	}
}

func TestFindStaysInItsFolders(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	for path, mode := range map[string]os.FileMode{
		filepath.Join(dir, "tool"): 0o755, filepath.Join(dir, "data"): 0o644, filepath.Join(other, "tool"): 0o755, filepath.Join(other, "more"): 0o755,
	} {
		if err := os.WriteFile(path, nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	folders := Folders{dir, other}
	for name, want := range map[string]string{
		"tool": filepath.Join(dir, "tool"), "more": filepath.Join(other, "more"), "data": "", "nope": "", "": "", ".": "", "..": "",
		"../tool": "", "a/tool": "", "tool\x00": "",
	} {
		if got, _ := folders.Find(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
	if diff := cmp.Diff([]string{"more", "tool"}, folders.Names()); diff != "" {
		t.Error(diff)
	}
}

func TestRun(t *testing.T) {
	for script, want := range map[string]struct {
		code int
		out  string
	}{
		"echo $A; pwd; cat":      {0, "1\n/\nin"},
		"exit 42":                {42, ""},
		"kill -9 $$":             {137, ""},
		"echo $EXTRA $0":         {0, "value sh\n"},
		"[ -e /proc/self/fd/9 ]": {1, ""},
	} {
		var out, errs strings.Builder
		inv := tool.Invocation{
			Name: "sh", Args: []string{"-c", script}, Dir: "/", Environ: []string{"A=1", "EXTRA=other", "PATH=/bin"},
			Stdin: strings.NewReader("in"), Stdout: &out, Stderr: &errs,
		}
		code := Run(t.Context(), inv, busybox(t), "bash: ", nil, Variable{"EXTRA", "value"})
		if code != want.code || out.String() != want.out {
			t.Errorf("%s: exit %d, output %q, errors %q", script, code, out.String(), errs.String())
		}
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	inv := tool.Invocation{Name: "sleep", Args: []string{"100"}, Stdout: &strings.Builder{}, Stderr: &strings.Builder{}}
	if code := Run(ctx, inv, busybox(t), "", nil, Variable{"X", ""}); code == 0 || time.Since(began) > 50*time.Second {
		t.Errorf("exit %d after %s", code, time.Since(began))
	}
}

func TestWhatCannotRunIsExplained(t *testing.T) {
	file := filepath.Join(t.TempDir(), "junk")
	if err := os.WriteFile(file, []byte("\x7fELFjunk"), 0o755); err != nil {
		t.Fatal(err)
	}
	var errs strings.Builder
	inv := tool.Invocation{Name: "junk", Dir: "/", Stdout: &errs, Stderr: &errs}
	if code := Run(t.Context(), inv, file, "bash: ", nil, Variable{"X", ""}); code != exitCannotRun || !strings.HasPrefix(errs.String(), "bash: junk: cannot execute") {
		t.Errorf("exit %d, %q", code, errs.String())
	}
}
