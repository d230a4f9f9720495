package shell

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/towline/towline/services/runner/internal/toolbox"
)

// buffer takes output from several goroutines.
type buffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// outcome is how a script has ended.
type outcome struct {
	out, errs string
	code      int
	err       error
}

// bench runs scripts in a directory of their own.
type bench struct {
	shell   *Shell
	folders []string
}

// plain is a shell without toolbox folders.
func plain(t *testing.T) *bench { return newBench(t) }

// folder is a toolbox folder made once for all tests: busybox and the program
// that calls back.
var folder = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "towline-toolbox-")
	if err != nil {
		return "", err
	}
	if out, err := goBuild(filepath.Join(dir, ".call"), "../../cmd/call"); err != nil {
		return "", errors.New(out)
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return "", errors.New("these tests need a static busybox; on Debian or Ubuntu: apt-get install busybox-static")
	}
	return dir, toolbox.MakeFolder(dir, busybox, filepath.Join(dir, ".call"), []string{"sh", "bash", "ash", "dash", "kubectl", "which", "sleep", "timeout"})
})

func goBuild(to, from string) (string, error) {
	cmd := exec.CommandContext(context.Background(), "go", "build", "-ldflags", "-s -w", "-o", to, from)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := folder(); err == nil {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// boxed is a shell with a toolbox folder.
func boxed(t *testing.T) *bench {
	t.Helper()
	dir, err := folder()
	if err != nil {
		t.Fatal(err)
	}
	return newBench(t, dir)
}

func newBench(t *testing.T, folders ...string) *bench {
	t.Helper()
	tools, err := toolbox.New(toolbox.Config{TempDir: t.TempDir(), Folders: folders})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tools.Close() })
	shell, err := New(tools)
	if err != nil {
		t.Fatal(err)
	}
	return &bench{shell: shell, folders: folders}
}

func (b *bench) run(t *testing.T, text string) outcome {
	t.Helper()
	return b.runIn(t.Context(), t, t.TempDir(), text)
}

func (b *bench) runIn(ctx context.Context, t *testing.T, dir, text string, args ...string) outcome {
	t.Helper()
	var out, errs buffer
	err := b.shell.Run(ctx, Script{
		Text: text, Name: "bash", Args: args, Dir: dir, Stdout: &out, Stderr: &errs,
		Environ: []string{"PATH=" + toolbox.SearchPath(b.folders), "HOME=" + dir, "TMPDIR=" + dir, "LC_ALL=C"},
	})
	o := outcome{out: out.String(), errs: errs.String(), err: err}
	var exit *ExitError
	if errors.As(err, &exit) {
		o.code, o.err = exit.Code, nil
	}
	return o
}
