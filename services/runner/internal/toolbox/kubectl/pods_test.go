//go:build integration && pods

package kubectl

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/towline/towline/pkg/eventually"
	"github.com/towline/towline/pkg/outputtest"
	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// containerEnv names the directory in which commands of the container "main" of
// the pod "p" begin. The pod, and a kubeconfig that leads through a gate, come
// from e2e/gatetest, which runs this file.
const containerEnv = "TOWLINE_E2E_CONTAINER"

// TestInPodsAsUpstream compares with the real kubectl.
func TestInPodsAsUpstream(t *testing.T) {
	container := os.Getenv(containerEnv)
	if container == "" {
		t.Fatalf("%s is not set; this test is run by TestEmbeddedKubectlInPods of e2e/gatetest", containerEnv)
	}
	dir, kubeconfig, binary := t.TempDir(), os.Getenv(clusterEnv), realKubectl(t)
	k := New(t.TempDir())
	writeText(t, filepath.Join(dir, "up/a.txt"), "a\n")
	writeText(t, filepath.Join(dir, "up/sub/b.txt"), strings.Repeat("b", 1<<20))
	const spdy = "KUBECTL_REMOTE_COMMAND_WEBSOCKETS=false"
	for _, l := range []line{
		{args: words("logs p")},
		{args: words("logs p -c side")},
		{args: words("logs p side --prefix")},
		{args: words("logs p --tail=1")},
		{args: words("logs p --all-containers")},
		{args: words("logs -l app=p --tail=-1")},
		{args: words("logs pod/p --limit-bytes=4")},
		{args: words("logs p -c nope")},
		{args: words("logs p --all-containers -c main")},
		{args: words("logs")},
		{args: words("logs p --tail=-2")},
		{args: words("exec p -- echo hello")},
		{args: words("exec p -q -- echo hello")},
		{args: words("exec p -c side -- pwd")},
		{args: words("exec -i p -c main -- cat"), stdin: "typed\n"},
		{args: words("exec p -c main -- cat"), stdin: "not passed on"},
		{args: words("exec p -c main -- sh -c"), stdin: ""},
		{args: append(words("exec p -c main -- sh -c"), "echo out; echo err >&2; exit 7")},
		{args: append(words("exec p -c main -- sh -c"), "exit 7"), env: []string{spdy}},
		{args: words("exec -i p -c main -- cat"), stdin: "typed\n", env: []string{spdy}},
		{args: words("exec -it p -c main -- cat"), stdin: "typed\n"},
		{args: words("exec p -c main -- /no/such/program")},
		{args: words("exec p -c nope -- true")},
		{args: words("exec p")},
		{args: words("cp up p:copied -c main")},
		{args: words("exec p -c main -- cat copied/a.txt")},
		{args: words("cp p:copied/a.txt down.txt -c main")},
		{args: words("cp nope p:x -c main")},
		{args: words("cp up p:more -c main"), env: []string{spdy}},
		{args: words("get pod p -o name")},
		{args: words("wait --for=condition=Ready pod/p --timeout=5s")},
	} {
		got, want := runEmbedded(t.Context(), k, dir, kubeconfig, l), runProcess(t, binary, dir, kubeconfig, l)
		for _, r := range []*result{&got, &want} { // progress that upstream writes past its streams, and in no order
			r.stdout = strings.ReplaceAll(r.stdout, "Dropping out copy after 0 retries\n", "")
			r.stderr = strings.ReplaceAll(r.stderr, dir+"/", "")
			if slices.Contains(l.args, "--all-containers") { // upstream takes the containers in no order
				r.stdout = strings.Join(slices.Sorted(strings.Lines(r.stdout)), "")
			}
		}
		if got.code != want.code || got.stdout != want.stdout || got.stderr != want.stderr {
			t.Errorf("%v:\nhere    %d %q %q\nkubectl %d %q %q", l.args, got.code, got.stdout, got.stderr, want.code, want.stdout, want.stderr)
		}
	}
	// Upstream's exit code is chance here.
	if got := runEmbedded(t.Context(), k, dir, kubeconfig, line{args: words("cp p:nope x -c main")}); got.code != 2 ||
		got.stdout != "tar: nope: Cannot stat: No such file or directory\ntar: Exiting with failure status due to previous errors\n" || got.stderr != "command terminated with exit code 2\n" {
		t.Errorf("%+v", got)
	}
	if text, err := os.ReadFile(filepath.Join(container, "copied/sub/b.txt")); err != nil || len(text) != 1<<20 {
		t.Errorf("copied: %d bytes, %v", len(text), err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "down.txt")); err != nil || string(text) != "a\n" {
		t.Errorf("copied back: %q, %v", text, err)
	}
	if left := slices.Sorted(entries(t, k.scratch)); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func words(text string) []string { return strings.Fields(text) }

func entries(t *testing.T, dir string) func(func(string) bool) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return func(yield func(string) bool) {
		for _, e := range list {
			if !yield(e.Name()) {
				return
			}
		}
	}
}

// TestInPodsCommandsEndWithTheirContext: what would go on for ever ends, and
// says nothing afterwards.
func TestInPodsCommandsEndWithTheirContext(t *testing.T) {
	dir, kubeconfig := t.TempDir(), os.Getenv(clusterEnv)
	for _, args := range [][]string{
		append(words("exec p -c main -- sh -c"), "echo started; sleep 300; echo late"),
		append(words("exec -i p -c main -- sh -c"), "echo started; sleep 300; echo late"),
		words("logs -f p -c main"), words("logs -f p --all-containers"), words("get pods -w"), words("get pods -w -o name"), words("attach p -c main"),
		words("wait --for=condition=Nope pod/p --timeout=10m"), words("wait --for=delete pod/p --timeout=10m"), words("events -w"),
	} {
		k := New(t.TempDir())
		ctx, cancel := context.WithCancel(t.Context())
		out := &outputtest.Buffer{}
		done := make(chan int, 1)
		go func() {
			done <- k.Run(ctx, tool.Invocation{
				Name: "kubectl", Args: args, Dir: dir, Environ: []string{"KUBECONFIG=" + kubeconfig}, Stdin: blocked(t), Stdout: out, Stderr: out,
			})
		}()
		if args[0] != "wait" && args[0] != "attach" && args[0] != "events" {
			eventually.Is(t, "the command has begun", func() bool { return out.Len() > 0 })
		}
		began := time.Now()
		cancel()
		select {
		case code := <-done:
			if code == 0 && args[0] == "wait" {
				t.Errorf("%v: code 0", args)
			}
		case <-time.After(eventually.Within):
			t.Errorf("%v goes on %v after its end", args, time.Since(began))
		}
		if strings.Contains(out.String(), "late") {
			t.Errorf("%v: %s", args, out)
		}
	}
}

// TestInPodsAttach follows what the container writes, and types into it.
func TestInPodsAttach(t *testing.T) {
	dir, kubeconfig := t.TempDir(), os.Getenv(clusterEnv)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, done := &outputtest.Buffer{}, make(chan struct{})
	go func() {
		defer close(done)
		New(t.TempDir()).Run(ctx, tool.Invocation{
			Name: "kubectl", Args: words("attach -i p -c main"), Dir: dir, Environ: []string{"KUBECONFIG=" + kubeconfig},
			Stdin: strings.NewReader("typed into it\n"), Stdout: out, Stderr: out,
		})
	}()
	eventually.Is(t, "the container's echo", func() bool { return bytes.Contains([]byte(out.String()), []byte("typed into it")) })
	cancel()
	<-done
}

// blocked is an input that says nothing until the test ends.
func blocked(t *testing.T) io.Reader {
	t.Helper()
	r, w := io.Pipe()
	t.Cleanup(func() { _ = w.Close() })
	return r
}
