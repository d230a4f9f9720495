package job

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/towline/towline/pkg/jobspec"
	"github.com/towline/towline/services/runner/internal/sandbox"
)

// TestSourcesInTheSandbox fetches from the system's git with nothing but the
// job's directories and one port in reach.
func TestSourcesInTheSandbox(t *testing.T) {
	requireSandbox(t)
	root := t.TempDir()
	git := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-C", root, "-c", "user.name=a", "-c", "user.email=a@x"}, args...)...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	git("init", "-q", "-b", "main")
	if err := os.WriteFile(filepath.Join(root, "hello.txt"), []byte("hello\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	git("add", "-A")
	git("commit", "-q", "-m", "x")
	sha := git("rev-parse", "HEAD")
	backend := filepath.Join(git("--exec-path"), "git-http-backend")
	s := httptest.NewServer(&cgi.Handler{
		Path: backend, Stderr: io.Discard,
		Env: []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1"},
	})
	defer s.Close()
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	spec := testSpec(t, "cat hello.txt", "ls")
	spec.Sandbox, spec.Ports = sandbox.ModeEnforce, []uint16{uint16(port)}
	spec.Job.Variables = nil
	spec.Job.Hooks = []jobspec.Hook{{Name: "pre_get_sources_script", Script: []string{"echo pre"}}, {Name: "post_get_sources_script", Script: []string{"echo post"}}}
	spec.Job.GitInfo = jobspec.GitInfo{
		RepoURL: strings.Replace(s.URL, "http://", "http://gitlab-ci-token:s3cret@", 1) + "/.git", SHA: sha, Ref: "main", Depth: 20,
		Refspecs: []string{"+refs/heads/main:refs/remotes/origin/main"},
	}
	got := startChild(t).run(t, spec)
	if got.said() != "pre\npost\nhello\nhello.txt\n" || got.result.State != StateSuccess {
		t.Errorf("result %+v\nlog %s", got.result, got.log)
	}
	if !strings.Contains(got.runner, "Checking out "+sha[:8]+" as detached HEAD (ref is main)...") {
		t.Errorf("log %s", got.log)
	}
}

// TestFailedSources says how such a job ends: neither script runs.
func TestFailedSources(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no", http.StatusForbidden)
	}))
	defer s.Close()
	spec := testSpec(t, "echo never").after("echo never")
	spec.Job.Variables = nil
	spec.Job.GitInfo = jobspec.GitInfo{
		RepoURL: strings.Replace(s.URL, "http://", "http://u:s3cret@", 1) + "/x.git", SHA: fmt.Sprintf("%040d", 1),
		Refspecs: []string{"+refs/heads/main:refs/remotes/origin/main"},
	}
	got := runJob(t, spec)
	if got.started != 0 || got.stdout != "" || got.result.FailureReason != ReasonScript || got.result.ExitCode != 1 {
		t.Errorf("started %d, stdout %q, result %+v", got.started, got.stdout, got.result)
	}
	if !strings.Contains(got.runner, "fatal: unable to access '"+s.URL+"/x.git/'") || strings.Contains(got.log, "s3cret") ||
		!strings.HasSuffix(got.log, "ERROR: Job failed: exit status 1\x1b[0;m\n") {
		t.Errorf("log %s", got.log)
	}
}

func TestARepositoryOfAnotherFormatIsAnErrorOfConfiguration(t *testing.T) {
	spec := testSpec(t, "echo ran")
	spec.Job.GitInfo.RepoObjectFormat = "sha256"
	if got := runJob(t, spec); got.said() != "ran\n" {
		t.Errorf("without sources: %+v\n%s", got.result, got.log)
	}
	spec = testSpec(t, "echo never").with(jobspec.Variable{Key: "GIT_STRATEGY", Value: "fetch"})
	spec.Job.GitInfo.RepoObjectFormat = "sha256"
	got := runJob(t, spec)
	if got.started != 0 || got.result.FailureReason != ReasonConfiguration || !strings.Contains(got.runner, "object format sha256: give the job to another runner") {
		t.Errorf("result %+v\n%s", got.result, got.log)
	}
}
