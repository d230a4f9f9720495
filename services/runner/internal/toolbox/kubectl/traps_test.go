package kubectl

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"

	"github.com/towline/towline/pkg/outputtest"
	"github.com/towline/towline/services/runner/internal/toolbox/tool"

	"github.com/towline/towline/pkg/eventually"
)

// TestAFatalErrorInAGoroutineEndsItsCommandOnly: upstream's cp calls CheckErr
// where nobody can recover.
func TestAFatalErrorInAGoroutineEndsItsCommandOnly(t *testing.T) {
	New(t.TempDir())
	commands := make([]*command, 2)
	var all sync.WaitGroup
	for i := range commands {
		ctx, cancel := context.WithCancel(t.Context())
		c := &command{ctx: ctx, cancel: cancel}
		commands[i] = c
		all.Go(func() {
			defer register(c)()
			done := make(chan struct{})
			go func() {
				defer close(done)
				if i == 0 {
					cmdutil.CheckErr(context.DeadlineExceeded)
					t.Error("goes on after a fatal error")
				}
			}()
			<-done
		})
	}
	all.Wait()
	if got := commands[0].failed.Load(); got == nil || got.code != 1 || !strings.Contains(got.msg, "deadline exceeded") || commands[0].ctx.Err() == nil {
		t.Errorf("the command with the error: %+v", got)
	}
	if got := commands[1].failed.Load(); got != nil || commands[1].ctx.Err() != nil {
		t.Errorf("the other: %+v", got)
	}
	if len(running.commands) != 0 {
		t.Errorf("%d commands are still registered", len(running.commands))
	}
}

func TestGoroutinesKnowTheirParents(t *testing.T) {
	mine, _ := goroutine()
	type numbers struct{ id, parent int64 }
	got := make(chan numbers)
	go func() {
		id, parent := goroutine()
		got <- numbers{id, parent}
	}()
	if n := <-got; mine == 0 || n.parent != mine || n.id == mine || n.id == 0 {
		t.Errorf("%+v, made by %d", n, mine)
	}
}

// TestRequestsEndWithTheCommand has a server that never answers.
func TestRequestsEndWithTheCommand(t *testing.T) {
	s := newAPIServer(t)
	sh := newShell(t, s.kubeconfig(t, token))
	sh.run("get", "cm", "a") // discovery
	s.hang = make(chan struct{})
	defer close(s.hang)
	out := &outputtest.Buffer{}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan int, 1)
	go func() {
		done <- sh.k.Run(ctx, tool.Invocation{
			Args: []string{"get", "cm", "hangs"}, Dir: sh.dir, Environ: []string{"KUBECONFIG=" + sh.env["KUBECONFIG"]}, Stdin: strings.NewReader(""), Stdout: out, Stderr: out,
		})
	}()
	eventually.Is(t, "the request", func() bool { return s.count("/api/v1/namespaces/default/configmaps/hangs") > 0 })
	cancel()
	select {
	case code := <-done:
		if code == 0 || out.String() != "" {
			t.Errorf("code %d, %q", code, out)
		}
	case <-time.After(eventually.Within):
		t.Fatal("goes on")
	}
}

func TestNothingIsWrittenAfterTheEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var out bytes.Buffer
	w := boundWriter{&out, ctx}
	if _, err := w.Write([]byte("a")); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := w.Write([]byte("b")); err == nil || out.String() != "a" {
		t.Errorf("%q, %v", &out, err)
	}
}

// TestLogChoicesGoToTheCommand: upstream reports them on the standard error of
// the process.
func TestLogChoicesGoToTheCommand(t *testing.T) {
	pod := func(annotation string, names ...string) *corev1.Pod {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Annotations: map[string]string{"kubectl.kubernetes.io/default-container": annotation}}}
		for _, name := range names {
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: name})
		}
		return p
	}
	for name, tt := range map[string]struct {
		pod       *corev1.Pod
		asked     string
		all       bool
		container string
		said      string
	}{
		"one container":      {pod("", "a"), "", false, "a", ""},
		"two containers":     {pod("", "a", "b"), "", false, "a", "Defaulted container \"a\" out of: a, b\n"},
		"an annotation":      {pod("b", "a", "b"), "", false, "b", ""},
		"a wrong annotation": {pod("x", "a", "b"), "", false, "a", "Default container name \"x\" not found in pod p\nDefaulted container \"a\" out of: a, b\n"},
		"a name":             {pod("", "a", "b"), "b", false, "b", ""},
		"all":                {pod("", "a", "b"), "", true, "", ""},
	} {
		var errs bytes.Buffer
		c := &command{streams: genericiooptions.IOStreams{ErrOut: &errs}}
		if got := c.logContainer(tt.pod, &corev1.PodLogOptions{Container: tt.asked}, tt.all); got.Container != tt.container || errs.String() != tt.said {
			t.Errorf("%s: %q, %q", name, got.Container, &errs)
		}
	}
}

func TestVariablesComeFromTheShell(t *testing.T) {
	sh := newShell(t, newAPIServer(t).kubeconfig(t, token))
	t.Setenv("ONLY_PROCESS", "secret")
	sh.env["EXPORTED"] = "from the shell"
	if err := os.WriteFile(filepath.Join(sh.dir, "v.env"), []byte("A=1\n# EXPORTED\n  EXPORTED\nONLY_PROCESS\nGONE"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := sh.run("create", "cm", "x", "--from-env-file=v.env", "--dry-run=client", "-o", "jsonpath={.data}")
	if want := `{"A":"1","EXPORTED":"from the shell","GONE":"","ONLY_PROCESS":""}`; code != 0 || out != want {
		t.Errorf("%d %q %q", code, out, errs)
	}
	sh.env["EXPORTED"] = "two\nlines"
	if code, _, errs := sh.run("create", "cm", "x", "--from-env-file=v.env", "--dry-run=client"); code != 1 || !strings.Contains(errs, "more than one line") {
		t.Errorf("%d %q", code, errs)
	}
}

// TestExternalDiffIsACommandOfTheToolbox, with the arguments that upstream lets
// through.
func TestExternalDiffIsACommandOfTheToolbox(t *testing.T) {
	var got []string
	var errs bytes.Buffer
	c := &command{ctx: t.Context(), inv: tool.Invocation{
		Environ: []string{"KUBECTL_EXTERNAL_DIFF=mydiff -N --color=always ;rm"}, Stderr: &errs,
		Run: func(_ context.Context, inv tool.Invocation) int {
			got = append([]string{inv.Name}, inv.Args...)
			return 1
		},
	}}
	cmd := differ{c: c}.Command("diff", "-u", "-N", "/LIVE", "/MERGED")
	cmd.SetStderr(&errs)
	err := cmd.Run()
	if err == nil || strings.Join(got, " ") != "mydiff -N --color=always /LIVE /MERGED" {
		t.Errorf("%v, %v", got, err)
	}
	c.inv.Run = nil
	cmd = differ{c: c}.Command("diff", "/LIVE", "/MERGED")
	cmd.SetStderr(&errs)
	if err := cmd.Run(); err == nil || !strings.Contains(errs.String(), "mydiff: command not found") {
		t.Errorf("%v, %q", err, &errs)
	}
}

func TestAnObjectMustSayWhatItIs(t *testing.T) {
	schema, err := factory{}.Validator("Strict")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		`{"apiVersion":"v1","kind":"ConfigMap"}`: "", "apiVersion: v1\nkind: ConfigMap\n": "",
		`{"apiVersion":"v1"}`: "kind not set", `{"kind":"x"}`: "apiVersion not set", `{"apiVersion":1,"kind":2}`: "[apiVersion isn't string type, kind isn't string type]",
		`null`: "invalid object to validate", `{"apiVersion":"a/b/c","kind":"x"}`: "unexpected GroupVersion string: a/b/c",
	} {
		got := ""
		if err := schema.ValidateBytes([]byte(text)); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
