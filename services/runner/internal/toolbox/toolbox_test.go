package toolbox

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// run carries out one command line without a shell: words are separated by
// spaces.
func run(t *testing.T, tools *Toolbox, dir, stdin, line string) (out, errs string, code int) {
	t.Helper()
	words := strings.Fields(line)
	var stdout, stderr strings.Builder
	code = tools.Run(t.Context(), tool.Invocation{
		Name: words[0], Args: words[1:], Dir: dir, Environ: []string{"PATH=" + SearchPath(nil)},
		Stdin: strings.NewReader(stdin), Stdout: &stdout, Stderr: &stderr,
	})
	return stdout.String(), stderr.String(), code
}

func box(t *testing.T, folders ...string) *Toolbox {
	t.Helper()
	tools, err := New(Config{TempDir: t.TempDir(), Folders: folders})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tools.Close() })
	return tools
}

// TestNothingExternalIsExecuted tries names that exist on every machine.
func TestNothingExternalIsExecuted(t *testing.T) {
	tools := box(t)
	for line, want := range map[string]int{
		"uname": exitNotFound, "/bin/uname": exitCannotRun, "/usr/bin/env uname": exitNotFound, "xargs uname": exitNotFound,
		"timeout 5 uname": exitNotFound, "find / -maxdepth 0 -exec uname ;": 1,
	} {
		out, errs, code := run(t, tools, t.TempDir(), "x", line)
		if code != want || strings.Contains(out, "Linux") || errs == "" {
			t.Errorf("%s: exit %d, want %d, stdout %q, stderr %q", line, code, want, out, errs)
		}
	}
}

func TestUnknownCommandsAreExplained(t *testing.T) {
	for line, want := range map[string]string{
		"kubctl get":  "bash: kubctl: command not found\nbash: did you mean kubectl?\nbash: kubctl is not among the commands of this runner",
		"helmm":       "did you mean helm?",
		"terraform":   "bash: terraform: command not found\nbash: terraform is not among",
		"xyzzyxyzzy":  "an operator who adds them to the toolbox folder",
		"/nope/thing": "bash: /nope/thing: No such file or directory\n",
	} {
		_, errs, code := run(t, box(t), t.TempDir(), "", line)
		if code != exitNotFound || !strings.Contains(errs, want) {
			t.Errorf("%s: exit %d, stderr %q, want %q", line, code, errs, want)
		}
	}
}

func TestCoreCommands(t *testing.T) {
	tools, dir := box(t), t.TempDir()
	for _, c := range []struct{ line, stdin, out string }{
		{"mkdir -p a/b", "", ""},
		{"touch a/b/f", "", ""},
		{"ls a", "", "b\n"},
		{"find a -name f", "", "a/b/f\n"},
		{"find . -name f", "", "./a/b/f\n"},
		{"cp a/b/f g", "", ""},
		{"mv g h", "", ""},
		{"ls h", "", "h\n"},
		{"rm h", "", ""},
		{"env -i A=1", "", "A=1\n"},
		{"xargs -n 2 echo", "1 2 3", "1 2\n3\n"},
	} {
		if out, errs, code := run(t, tools, dir, c.stdin, c.line); out != c.out || errs != "" || code != 0 {
			t.Errorf("%s: exit %d, stdout %q, want %q, stderr %q", c.line, code, out, c.out, errs)
		}
	}
}

func TestTimeout(t *testing.T) {
	for line, want := range map[string]int{
		"timeout 0.01 sleep 100": exitTimeout, "timeout -s KILL 0.01s sleep 100": bySignal + 9, "timeout 10 sleep 0": 0,
		"timeout -k 1 10 sleep x": 1, "timeout x sleep 1": exitUsage, "timeout": exitUsage,
		"timeout --preserve-status 0.01 sleep 100": bySignal + 15, "timeout --preserve-status -s INT 0.01 sleep 100": bySignal + 2, "timeout --preserve-status --signal=9 0.01 sleep 100": bySignal + 9,
		"timeout --preserve-status 10 sleep x": 1, "timeout --nope 1 sleep 1": exitUsage, "timeout 1": exitUsage,
	} {
		if _, errs, code := run(t, box(t), t.TempDir(), "", line); code != want {
			t.Errorf("%s: exit %d, want %d, stderr %q", line, code, want, errs)
		}
	}
}

func TestCrashOfACommandIsItsOwn(t *testing.T) {
	tools, err := New(Config{TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	var errs strings.Builder
	inv := tool.Invocation{Name: "boom", Stderr: &errs}
	if code := tools.Run(t.Context(), inv); code != exitNotFound {
		t.Errorf("code %d", code)
	}
	tools.commands["boom"] = func(context.Context, tool.Invocation) int { panic("bang") }
	if code := tools.Run(t.Context(), inv); code != exitPanic || !strings.Contains(errs.String(), "boom: internal error: bang") {
		t.Errorf("code %d, stderr %q", code, errs.String())
	}
}

func TestSleepTime(t *testing.T) {
	for in, want := range map[string]time.Duration{"1": time.Second, "0.5": 500 * time.Millisecond, "2m": 2 * time.Minute, "1h": time.Hour, "1d": 24 * time.Hour, "3s": 3 * time.Second} {
		if got, err := sleepTime(in); err != nil || got != want {
			t.Errorf("%s: %s, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "x", "-1", "1y", "1e300", "NaN"} {
		if got, err := sleepTime(in); err == nil {
			t.Errorf("%q: %s", in, got)
		}
	}
}
