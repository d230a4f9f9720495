//go:build integration

package kubectl

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// side is one of the two kubectls, in a namespace of its own, so that both see
// the same history.
type side struct {
	namespace string
	run       func(line line) result
}

type result struct {
	code           int
	stdout, stderr string
}

// line is one command line.
type line struct {
	args  []string
	stdin string
	env   []string
}

// sides makes a namespace for the embedded and one for the real kubectl.
func sides(t *testing.T, dir string) (embedded, real *side) {
	t.Helper()
	admin := os.Getenv(clusterEnv)
	if admin == "" {
		t.Fatalf("%s is not set", clusterEnv)
	}
	binary := realKubectl(t)
	make := func(name string) (*side, string) {
		namespace := fmt.Sprintf("as-upstream-%s-%d", name, os.Getpid())
		path := filepath.Join(t.TempDir(), "kubeconfig")
		text, err := os.ReadFile(admin)
		if err != nil {
			t.Fatal(err)
		}
		writeText(t, path, string(text))
		s := &side{namespace: namespace}
		for _, args := range [][]string{{"create", "namespace", namespace}, {"config", "set-context", "--current", "--namespace", namespace}} {
			if r := runProcess(t, binary, dir, path, line{args: args}); r.code != 0 {
				t.Fatal(r.stderr)
			}
		}
		t.Cleanup(func() {
			runProcess(t, binary, dir, path, line{args: []string{"delete", "namespace", namespace, "--wait=false"}})
		})
		return s, path
	}
	embedded, ours := make("here")
	real, theirs := make("real")
	k := New(t.TempDir())
	embedded.run = func(l line) result { return runEmbedded(t.Context(), k, dir, ours, l) }
	real.run = func(l line) result { return runProcess(t, binary, dir, theirs, l) }
	return embedded, real
}

func runEmbedded(ctx context.Context, k *Kubectl, dir, kubeconfig string, l line) result {
	var out, errs bytes.Buffer
	code := k.Run(ctx, tool.Invocation{
		Name: "kubectl", Args: l.args, Dir: dir, Stdin: strings.NewReader(l.stdin), Stdout: &out, Stderr: &errs,
		Environ: append([]string{"KUBECONFIG=" + kubeconfig, "HOME=" + dir}, l.env...),
		Run: func(ctx context.Context, inv tool.Invocation) int {
			cmd := exec.CommandContext(ctx, inv.Name, inv.Args...)
			cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = inv.Dir, inv.Stdin, inv.Stdout, inv.Stderr
			return exitOf(cmd.Run())
		},
	})
	return result{code, out.String(), errs.String()}
}

func runProcess(t *testing.T, binary, dir, kubeconfig string, l line) result {
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), binary, l.args...)
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, strings.NewReader(l.stdin), &out, &errs
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "KUBECONFIG=" + kubeconfig, "HOME=" + dir}, l.env...)
	return result{exitOf(cmd.Run()), out.String(), errs.String()}
}

func exitOf(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	if err != nil {
		return 126
	}
	return 0
}

// passing are parts of the output that differ between two runs of the same
// program.
var passing = []struct {
	pattern *regexp.Regexp
	by      string
}{
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "UID"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z| [+-]\d{4})?`), "TIME"},
	{regexp.MustCompile(`(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w+ \d{4} \d\d:\d\d:\d\d [+-]\d{4}`), "TIME"},
	{regexp.MustCompile(`(resourceVersion"?: ")\d+`), "${1}N"},
	{regexp.MustCompile(`(LIVE|MERGED)-\d+`), "$1"},
	{regexp.MustCompile(`/tmp/[\w./-]*?/(LIVE|MERGED)`), "/tmp/$1"},
	{regexp.MustCompile(`(clusterIPs?"?: ?\[?"?|IPs?: +)(\d+\.\d+\.\d+\.\d+|\[\d+\.\d+\.\d+\.\d+)`), "${1}IP"},
	{regexp.MustCompile(`\b\d+\.\d+\.\d+\.\d+\b`), "IP"},
	{regexp.MustCompile(`\b(\d+[smhd])+\b`), "AGE"},
	{regexp.MustCompile(`(?m)[WEI]\d{4} [\d:.]+ +\d+ \w+\.go:\d+\] .*\n`), ""}, // klog
	{regexp.MustCompile(`/tmp/[\w./-]*?/kubeconfig`), "KUBECONFIG"},
	{regexp.MustCompile(`"(gitCommit|gitTreeState|buildDate)": ".*"`), "$1"},
	{regexp.MustCompile(`(\[default |--openapi-patch=)(true|false)`), "$1"},
	{regexp.MustCompile(`<(invalid|unknown)>`), "AGE"},
	{regexp.MustCompile(`pod/j-\w{5}\b`), "pod/j-HASH"},
	{regexp.MustCompile(`-[bcdfghjklmnpqrstvwxz2456789]{8,10}\b`), "-HASH"},
	{regexp.MustCompile(`pod-template-hash: \w+`), "pod-template-hash: HASH"},
	{regexp.MustCompile(`"(\w+)(-\w+)?\.\w{16}"`), "EVENT"},
	{regexp.MustCompile(`(?m)^Waiting for deployment spec update to be observed\.\.\.\n`), ""},
	{regexp.MustCompile(` +`), " "},
	{regexp.MustCompile(`-{2,}`), "--"},
}

func (s *side) plain(dir, text string) string {
	text = strings.NewReplacer(s.namespace, "NAMESPACE", dir+"/", "").Replace(text)
	for _, p := range passing {
		text = p.pattern.ReplaceAllString(text, p.by)
	}
	return text
}

// TestAsUpstream runs each command line with the embedded and with the real
// kubectl and compares standard output, standard error and exit codes.
func TestAsUpstream(t *testing.T) {
	dir := t.TempDir()
	for name, text := range upstreamFiles {
		writeText(t, filepath.Join(dir, name), text)
	}
	embedded, real := sides(t, dir)
	embedded.run(parseLine(t, dir, "apply -f crd.yaml")) // of the whole cluster: both find it there
	ran := 0
	for text := range strings.Lines(upstreamLines) {
		text = strings.TrimSpace(text)
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		l := parseLine(t, dir, text)
		got, want := embedded.run(l), real.run(l)
		clean := func(s *side, r result) result {
			return result{r.code, s.plain(dir, r.stdout), s.plain(dir, r.stderr)}
		}
		if diff := cmp.Diff(clean(real, want), clean(embedded, got), cmp.AllowUnexported(result{})); diff != "" {
			t.Errorf("%s (-kubectl +here):\n%s", text, diff)
		}
		ran++
	}
	if ran < 60 {
		t.Errorf("only %d command lines", ran)
	}
}

// parseLine reads one line: words are split at blanks, "_" in a word in single
// quotes stands for a blank, KEY=value in front goes to the environment, and
// "< FILE" at the end is standard input.
func parseLine(t *testing.T, dir, text string) line {
	t.Helper()
	var l line
	text, file, stdin := strings.Cut(text, " < ")
	if stdin {
		content, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		l.stdin = string(content)
	}
	for _, word := range strings.Fields(text) {
		if quoted := regexp.MustCompile(`^([A-Z_]+=)?'(.*)'$`).FindStringSubmatch(word); quoted != nil {
			word = quoted[1] + strings.ReplaceAll(quoted[2], "_", " ")
		}
		if key, _, ok := strings.Cut(word, "="); ok && len(l.args) == 0 && key == strings.ToUpper(key) {
			l.env = append(l.env, word)
			continue
		}
		l.args = append(l.args, word)
	}
	return l
}
