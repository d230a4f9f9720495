package job

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/towline/towline/services/runner/internal/sandbox"
	"github.com/towline/towline/services/runner/internal/toolbox"
)

// childEnv turns this test binary into a job process.
const childEnv = "TOWLINE_TEST_JOB_PROCESS"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		os.Exit(Main(context.Background(), os.Stdin, os.NewFile(3, "frames")))
	}
	toolbox.Warm()
	os.Exit(m.Run())
}

// child is a job process as the supervisor has it.
type child struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	frames *os.File
	raw    strings.Builder // its own standard output and error
}

func startChild(t testing.TB) *child {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c := &child{cmd: exec.Command("/proc/self/exe"), frames: r}
	c.cmd.Env = []string{childEnv + "=1", "SECRET_OF_PARENT=1"}
	c.cmd.ExtraFiles = []*os.File{w}
	c.cmd.Stdout, c.cmd.Stderr = &c.raw, &c.raw
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	t.Cleanup(func() {
		r.Close()
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait()
	})
	return c
}

// give sends the child its job, and at once the word to proceed.
func (c *child) give(spec *Spec) error {
	return errors.Join(WriteSpec(c.stdin, spec), WriteControl(c.stdin, Control{Proceed: true}))
}

// run gives the child its job and waits for the result.
func (c *child) run(t *testing.T, spec *Spec) outcome {
	t.Helper()
	if err := c.give(spec); err != nil {
		t.Fatal(err)
	}
	got := decode(t, c.frames)
	if err := c.cmd.Wait(); err != nil {
		t.Fatalf("job process: %v\n%s", err, c.raw.String())
	}
	return got
}

func requireSandbox(t testing.TB) {
	t.Helper()
	if _, err := sandbox.Check(); err != nil {
		t.Skip(err)
	}
}

func TestConfinedProcess(t *testing.T) {
	requireSandbox(t)
	outside := t.TempDir() + "/outside"
	if err := os.WriteFile(outside, []byte("outside"), 0o644); err != nil {
		t.Fatal(err)
	}
	spec := testSpec(t,
		"cat "+outside+" || echo denied-read",
		"echo x > "+outside+" || echo denied-write",
		"cat /proc/self/environ || echo denied-environ",
		"ls / || echo denied-list",
		"echo ${SECRET_OF_PARENT-unset}",
		"ln() { :; }; echo ok > f && cat f && mv f $TMPDIR/g && cat $TMPDIR/g",
		"echo piped | cat <(cat)",
	)
	spec.Sandbox = sandbox.ModeEnforce
	c := startChild(t)
	got := c.run(t, spec)
	want := "denied-read\ndenied-write\ndenied-environ\ndenied-list\nunset\nok\nok\npiped\n"
	if got.said() != want {
		t.Errorf("stdout %q\nstderr %q\nraw %s", got.said(), got.stderr, c.raw.String())
	}
	if got.result.State != StateSuccess || got.started != 1 {
		t.Errorf("result %+v, started %d, log %s", got.result, got.started, got.runner)
	}
	if text, err := os.ReadFile(outside); err != nil || string(text) != "outside" {
		t.Errorf("outside file: %q, %v", text, err)
	}
}

func TestUnknownSandboxModeFails(t *testing.T) {
	spec := testSpec(t, "echo never")
	spec.Sandbox = ""
	got := startChild(t).run(t, spec)
	if got.result.FailureReason != ReasonSystem || got.stdout != "" || !strings.Contains(got.runner, "ERROR: Job failed (system failure): sandbox: ") {
		t.Errorf("result %+v, log %q", got.result, got.runner)
	}
}

func TestProcessFollowsItsSupervisor(t *testing.T) {
	t.Run("canceled", func(t *testing.T) {
		c := startChild(t)
		if err := c.give(testSpec(t, "sleep 600").after("echo after $CI_JOB_STATUS")); err != nil {
			t.Fatal(err)
		}
		if err := WriteControl(c.stdin, Control{Cancel: CancelCanceled}); err != nil {
			t.Fatal(err)
		}
		got := decode(t, c.frames)
		if got.said() != "after canceled\n" || got.result.FailureReason != ReasonCanceled {
			t.Errorf("stdout %q, result %+v", got.said(), got.result)
		}
	})
	t.Run("timeout", func(t *testing.T) {
		c := startChild(t)
		if err := c.give(testSpec(t, "sleep 600").after("echo never")); err != nil {
			t.Fatal(err)
		}
		if err := WriteControl(c.stdin, Control{Cancel: CancelTimeout}); err != nil {
			t.Fatal(err)
		}
		got := decode(t, c.frames)
		if got.result.FailureReason != ReasonTimeout || strings.Contains(got.log, "never") {
			t.Errorf("log %q, result %+v", got.log, got.result)
		}
	})
	t.Run("gone", func(t *testing.T) {
		c := startChild(t)
		if err := c.give(testSpec(t, "sleep 600")); err != nil {
			t.Fatal(err)
		}
		c.stdin.Close()
		_ = ReadFrames(c.frames, func(Frame) error { return nil })
		if _ = c.cmd.Wait(); c.cmd.ProcessState.ExitCode() != ExitOrphaned {
			t.Errorf("exit code %d", c.cmd.ProcessState.ExitCode())
		}
	})
	t.Run("not needed", func(t *testing.T) {
		c := startChild(t)
		c.stdin.Close()
		if err := c.cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	t.Run("garbage", func(t *testing.T) {
		c := startChild(t)
		io.WriteString(c.stdin, "\xff\xff\xff\xffgarbage")
		if _ = c.cmd.Wait(); c.cmd.ProcessState.ExitCode() != ExitProtocol {
			t.Errorf("exit code %d", c.cmd.ProcessState.ExitCode())
		}
	})
}

func TestNoCommandRunsBeforeTheStartIsRecorded(t *testing.T) {
	c := startChild(t)
	spec := testSpec(t, "echo ran > ran")
	if err := WriteSpec(c.stdin, spec); err != nil {
		t.Fatal(err)
	}
	frames := NewFrameReader(c.frames)
	for {
		f, err := frames.Next()
		if err != nil {
			t.Fatal(err)
		}
		if f.Kind == KindEvent {
			break
		}
	}
	c.stdin.Close() // the supervisor dies instead of answering
	if _, err := frames.Next(); err == nil {
		t.Error("the process went on")
	}
	if _, err := os.Stat(spec.ProjectDir + "/ran"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a command ran: %v", err)
	}
}

// TestWhatLibrariesWriteStandsInItsPlace: kustomize writes its warnings to the
// process's standard error, between what the script writes.
func TestWhatLibrariesWriteStandsInItsPlace(t *testing.T) {
	requireSandbox(t)
	spec := testSpec(t,
		`printf 'commonLabels: {a: b}\n' > kustomization.yaml`,
		"for i in 1 2 3 4 5 6 7 8 9 10; do echo before $i; kustomize build . > built; echo after $i; done",
	)
	spec.Sandbox = sandbox.ModeEnforce
	c := startChild(t)
	got := c.run(t, spec)
	var want strings.Builder
	for i := range 10 {
		fmt.Fprintf(&want, "before %d\n# Warning: 'commonLabels' is deprecated. Please use 'labels' instead. Run 'kustomize edit fix' to update your Kustomization automatically.\nafter %d\n", i+1, i+1)
	}
	if !strings.Contains(got.log, want.String()) {
		t.Errorf("log:\n%s", got.log)
	}
	if c.raw.String() != "" {
		t.Errorf("past the log: %q", c.raw.String())
	}
}
