package helm

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/outputtest"
	"github.com/towline/towline/services/runner/internal/toolbox/helm/helmtest"
	"github.com/towline/towline/services/runner/internal/toolbox/kubectl"
	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// result is what one command did.
type result struct {
	Code        int
	Out, Errors string
}

// line is a command line of a script.
type line struct {
	args  string // split at spaces; '...' keeps spaces
	stdin string
	// loose keeps the outcome but not the words: what the package documents as
	// different.
	loose bool
}

// shell is a directory with charts in which lines are run.
type shell struct {
	dir  string
	env  map[string]string
	helm *Helm
}

// newShell copies testdata into a directory of its own.
func newShell(t testing.TB) *shell {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(packageDir, "testdata"))); err != nil {
		t.Fatal(err)
	}
	scratch := t.TempDir()
	h := New(kubectl.New(scratch), scratch)
	h.workDir = dir // as in a job, whose process works in the project's directory
	return &shell{
		dir:  dir,
		env:  map[string]string{"HOME": filepath.Join(dir, "home"), "KUBECONFIG": filepath.Join(dir, "no-kubeconfig")},
		helm: h,
	}
}

func (s *shell) environ() []string {
	var out []string
	for name, value := range s.env {
		out = append(out, name+"="+value)
	}
	return out
}

// run is the command in this process.
func (s *shell) run(ctx context.Context, l line) result {
	var out, errs outputtest.Buffer
	inv := tool.Invocation{
		Name: "helm", Args: split(l.args), Dir: s.dir, Environ: s.environ(),
		Stdin: strings.NewReader(l.stdin), Stdout: &out, Stderr: &errs, Run: postRender,
	}
	code := s.helm.Run(ctx, inv)
	return s.normal(result{code, out.String(), errs.String()})
}

// runReal is the helm binary.
func (s *shell) runReal(t testing.TB, l line) result {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), helmtest.Binary(t), split(l.args)...)
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = s.dir, strings.NewReader(l.stdin), &out, &errs
	cmd.Env = append(s.environ(), "PATH="+s.dir+"/bin:"+os.Getenv("PATH"))
	err := cmd.Run()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return s.normal(result{cmd.ProcessState.ExitCode(), out.String(), errs.String()})
}

// postRender is the commands that a toolbox would have.
func postRender(_ context.Context, inv tool.Invocation) int {
	var text bytes.Buffer
	_, _ = text.ReadFrom(inv.Stdin)
	switch inv.Name {
	case "add-label":
		_, _ = inv.Stdout.Write(bytes.ReplaceAll(text.Bytes(), []byte("  labels:"), []byte("  labels:\n    added: "+strings.Join(inv.Args, "-"))))
		return 0
	case "fail":
		_, _ = inv.Stderr.Write([]byte("no luck\n"))
		return 3
	}
	return 127
}

var (
	someTime   = regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( ?[+-]\d\d:?\d\d| ?UTC|Z)*|[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}`)
	someDigest = regexp.MustCompile(`(sha256:)?[0-9a-f]{64}`)
	sourceLine = regexp.MustCompile(`(?m)^\w+\.go:\d+: `)
	somePath   = regexp.MustCompile(`/tmp/helm-?\d+|index\.yaml\d+`)
	logPrefix  = regexp.MustCompile(`(?m)^[WEI]\d{4} \S+ +\d+ \w+\.go:\d+\] `)
	spaces     = regexp.MustCompile(`[ \t]+`)
)

func (s *shell) normal(r result) result {
	binary, _ := helmtest.Build()
	for _, text := range []*string{&r.Out, &r.Errors} {
		if binary != "" {
			*text = strings.ReplaceAll(*text, binary, "helm")
		}
		*text = strings.ReplaceAll(*text, s.dir, "DIR")
		*text = someTime.ReplaceAllString(*text, "TIME")
		*text = someDigest.ReplaceAllString(*text, "DIGEST")
		*text = sourceLine.ReplaceAllString(*text, "")
		*text = somePath.ReplaceAllString(*text, "TEMP")
		*text = logPrefix.ReplaceAllString(*text, "Warning: ")
		*text = spaces.ReplaceAllString(*text, " ") // tables are as wide as their times
	}
	return r
}

// compare runs lines in a row with the real helm and with ours, each in its own
// directory, and compares each outcome and the files at the end.
func compare(t *testing.T, theirs, ours *shell, lines []line) {
	t.Helper()
	t.Chdir(ours.dir)
	for _, l := range lines {
		want, got := theirs.runReal(t, l), ours.run(t.Context(), l)
		if l.loose {
			want, got = result{Code: want.Code}, result{Code: got.Code}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("helm %s (-helm +ours):\n%s", l.args, diff)
		}
	}
	if diff := cmp.Diff(theirs.files(t), ours.files(t)); diff != "" {
		t.Errorf("files (-helm +ours):\n%s", diff)
	}
}

// files is every file of the shell's directory with its text.
func (s *shell) files(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(s.dir, func(path string, entry fs.DirEntry, err error) error {
		// helm locks a file beside the repositories; this process a mutex.
		if err != nil || entry.IsDir() || filepath.Ext(path) == ".lock" && filepath.Base(path) != "Chart.lock" {
			return err
		}
		name, _ := filepath.Rel(s.dir, path)
		switch filepath.Ext(path) {
		case ".tgz", ".gz":
			out[name] = "archive"
			return nil
		case ".txt": // the names of charts in no order
			out[name] = "list"
			return nil
		}
		text, err := os.ReadFile(path)
		out[name] = s.normal(result{Out: string(text)}).Out
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// packageDir is where the tests begin; some change the directory.
var packageDir, _ = os.Getwd()

// split cuts a command line at spaces, but not inside single quotes.
func split(text string) []string {
	var words []string
	for i, part := range strings.Split(text, "'") {
		if i%2 == 1 {
			words = append(words, part)
			continue
		}
		words = append(words, strings.Fields(part)...)
	}
	return slices.DeleteFunc(words, func(w string) bool { return w == "" })
}
