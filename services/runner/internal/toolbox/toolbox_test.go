package toolbox

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// script runs a script with the toolbox alone.
func script(t *testing.T, text string) (out, errs string, err error) {
	t.Helper()
	tools, err := New(Config{TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	shell := tools.Shell(func(n uint) uint { return n })
	var stdout, stderr strings.Builder
	r, err := interp.New(
		interp.Env(expand.ListEnviron("PATH="+Path, "HOME=/nonexistent")), interp.Dir(t.TempDir()),
		interp.StdIO(strings.NewReader(""), &stdout, &stderr),
		interp.ExecHandlers(shell.Exec), interp.CallHandler(shell.Call))
	if err != nil {
		t.Fatal(err)
	}
	file, err := syntax.NewParser().Parse(strings.NewReader(text), "")
	if err != nil {
		t.Fatal(err)
	}
	err = r.Run(t.Context(), file)
	return stdout.String(), stderr.String(), err
}

// TestNothingExternalIsExecuted tries names that exist on every machine.
func TestNothingExternalIsExecuted(t *testing.T) {
	for _, text := range []string{"uname", "/bin/uname", "PATH=/bin:/usr/bin uname", "exec uname", "command uname", "echo x | xargs uname", "find / -maxdepth 0 -exec uname ;"} {
		out, errs, err := script(t, text)
		if err == nil || strings.Contains(out, "Linux") {
			t.Errorf("%s: stdout %q, stderr %q", text, out, errs)
		}
	}
}

func TestCoreCommands(t *testing.T) {
	out, errs, err := script(t, `mkdir -p a/b && echo one > a/b/f && cp a/b/f g && mv g h && cat h
touch t && rm t && ls a && find a -name f && find . -name f && echo z | gzip | gunzip && base64 < h && gzip h && ls h.gz
d=$(mktemp -d) && [ -d "$d" ] && rm -r "$d" && echo made`)
	want := "one\nb\na/b/f\n./a/b/f\nz\nb25lCg==\nh.gz\nmade\n"
	if err != nil || errs != "" || out != want {
		t.Errorf("%v\nstderr %s\n%s", err, errs, cmp.Diff(want, out))
	}
}

func TestCrashOfACommandIsItsOwn(t *testing.T) {
	tools, err := New(Config{TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	var errs strings.Builder
	inv := tool.Invocation{Name: "boom", Stderr: &errs}
	if code := tools.run(t.Context(), inv, ""); code != exitNotFound {
		t.Errorf("code %d", code)
	}
	tools.commands["boom"] = func(context.Context, tool.Invocation) int { panic("bang") }
	if code := tools.run(t.Context(), inv, ""); code != exitPanic || !strings.Contains(errs.String(), "boom: internal error: bang") {
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
