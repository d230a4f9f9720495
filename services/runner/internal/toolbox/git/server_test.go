package git

import (
	"encoding/pem"
	"io"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

const token = "glcbt-64_t0ken+/="

// server is a real smart-HTTP server over the system's git. It wants the job
// token and keeps what Authorization headers it saw.
type server struct {
	*httptest.Server
	t    *testing.T
	repo string // bare

	mu   sync.Mutex
	seen []string
}

func newServer(t *testing.T, tls, open bool) *server {
	t.Helper()
	root := t.TempDir()
	s := &server{t: t, repo: filepath.Join(root, "group", "app.git")}
	s.git("", "init", "-q", "--bare", "--template=", "-b", "main", s.repo)
	s.git(s.repo, "config", "http.receivepack", "true")
	at, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		t.Fatal("this test serves a repository with git: apt-get install git")
	}
	backend := &cgi.Handler{
		Stderr: io.Discard, Path: filepath.Join(strings.TrimSpace(string(at)), "git-http-backend"),
		Env: []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"},
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.seen = append(s.seen, r.Header.Get("Authorization"))
		s.mu.Unlock()
		if user, pass, ok := r.BasicAuth(); !open && (!ok || user != tokenUser || pass != token) {
			w.Header().Set("WWW-Authenticate", `Basic realm="GitLab"`)
			http.Error(w, "HTTP Basic: Access denied", http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(w, r)
	})
	if tls {
		s.Server = httptest.NewTLSServer(handler)
	} else {
		s.Server = httptest.NewServer(handler)
	}
	t.Cleanup(s.Close)
	return s
}

func (s *server) address() string { return s.URL + "/group/app.git" }

// ca is the server's certificate as PEM.
func (s *server) ca() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
}

// authorizations are the non-empty ones that came.
func (s *server) authorizations() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, a := range s.seen {
		if a != "" {
			out = append(out, a)
		}
	}
	return out
}

// git runs the system's git.
func (s *server) git(dir string, args ...string) string {
	s.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@x", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@x"}, environ...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// commit adds a commit with one file to a branch of the server, and returns it.
func (s *server) commit(branch, name, text string) string {
	s.t.Helper()
	work := filepath.Join(s.t.TempDir(), "work")
	s.git("", "clone", "-q", s.repo, work)
	if refs := s.git(work, "branch", "-r"); strings.Contains(refs, "origin/"+branch) {
		s.git(work, "checkout", "-q", branch)
	} else {
		s.git(work, "checkout", "-q", "-b", branch)
	}
	if err := os.WriteFile(filepath.Join(work, name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.git(work, "add", "-A")
	s.git(work, "commit", "-q", "-m", name)
	s.git(work, "push", "-q", "origin", "HEAD:"+branch)
	return s.git(work, "rev-parse", "HEAD")
}

// job is a script's view: a git, a directory and the job's variables.
type job struct {
	t   *testing.T
	git *Git
	dir string
	env []string
}

func newJob(t *testing.T, c Config) *job {
	t.Helper()
	return &job{t: t, git: New(c), dir: t.TempDir(), env: append([]string{
		"CI_JOB_TOKEN=" + token, "GIT_AUTHOR_NAME=job", "GIT_AUTHOR_EMAIL=job@x", "GIT_COMMITTER_NAME=job", "GIT_COMMITTER_EMAIL=job@x",
	}, environ...)}
}

// run carries out a command line; arguments have no spaces.
func (j *job) run(line string) (code int, out, errs string) {
	j.t.Helper()
	var stdout, stderr strings.Builder
	code = j.git.Run(j.t.Context(), tool.Invocation{
		Name: "git", Args: strings.Fields(line), Dir: j.dir, Environ: j.env, Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr,
	})
	return code, strings.TrimSpace(stdout.String()), stderr.String()
}

// must runs a command line that succeeds.
func (j *job) must(line string) string {
	j.t.Helper()
	code, out, errs := j.run(line)
	if code != 0 {
		j.t.Fatalf("git %s: exit code %d\n%s%s", line, code, out, errs)
	}
	return out
}

func (j *job) write(name, text string) {
	j.t.Helper()
	if err := os.WriteFile(filepath.Join(j.dir, name), []byte(text), 0o600); err != nil {
		j.t.Fatal(err)
	}
}
