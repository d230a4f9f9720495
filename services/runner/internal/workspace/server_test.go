package workspace

import (
	"bytes"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// Credentials of the test server. The password is what a job token looks like.
const (
	gitUser = "gitlab-ci-token"
	gitPass = "glcbt-64_s3cret+/=%"
)

// gitServer is a real smart-HTTP server over the system's git.
type gitServer struct {
	*httptest.Server
	t        testing.TB
	repo     string // a work tree
	requests atomic.Int64
	fail     atomic.Int64 // so many requests answer 502
}

func newGitServer(t testing.TB, tls bool) *gitServer {
	t.Helper()
	root := t.TempDir()
	s := &gitServer{t: t, repo: filepath.Join(root, "group", "app.git")}
	if err := os.MkdirAll(s.repo, 0o755); err != nil {
		t.Fatal(err)
	}
	s.git("init", "-q", "-b", "main")
	backend := &cgi.Handler{
		Stderr: io.Discard,
		Path:   "/usr/lib/git-core/git-http-backend",
		Env:    []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"},
	}
	if out, err := exec.Command("git", "--exec-path").Output(); err == nil {
		backend.Path = filepath.Join(strings.TrimSpace(string(out)), "git-http-backend")
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		if s.fail.Add(-1) >= 0 {
			http.Error(w, "bad gateway", http.StatusBadGateway)
			return
		}
		if user, pass, ok := r.BasicAuth(); !ok || user != gitUser || pass != gitPass {
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

// git runs git in the repository and returns its output.
func (s *gitServer) git(args ...string) string { return s.gitIn("", args...) }

func (s *gitServer) gitIn(stdin string, args ...string) string {
	s.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = s.repo
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@x", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@x")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("git %v: %v\n%s", args, err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

// commit writes files, commits everything, and points the pipeline's ref there.
func (s *gitServer) commit(files map[string]string) (sha string) {
	s.t.Helper()
	for name, content := range files {
		path := filepath.Join(s.repo, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			s.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			s.t.Fatal(err)
		}
	}
	s.git("add", "-A")
	s.git("commit", "-q", "-m", "commit")
	sha = s.git("rev-parse", "HEAD")
	s.git("update-ref", "refs/pipelines/7", sha)
	return sha
}

// commitTree makes a commit of a tree given as lines of git ls-tree, which git
// itself would refuse to make.
func (s *gitServer) commitTree(entries ...treeEntry) string {
	s.t.Helper()
	var tree bytes.Buffer
	for _, e := range entries {
		tree.WriteString(e.mode + " " + e.name + "\x00")
		raw, err := hex.DecodeString(e.hash)
		if err != nil {
			s.t.Fatal(err)
		}
		tree.Write(raw)
	}
	hash := s.gitIn(tree.String(), "hash-object", "-t", "tree", "-w", "--literally", "--stdin")
	sha := s.git("commit-tree", "-m", "hostile", hash)
	s.git("update-ref", "refs/pipelines/7", sha)
	s.git("update-ref", "refs/heads/main", sha)
	return sha
}

func (s *gitServer) blob(content string) string {
	return s.gitIn(content, "hash-object", "-w", "--stdin")
}

func (s *gitServer) tree(entries string) string { return s.gitIn(entries, "mktree", "--missing") }

type treeEntry struct{ mode, name, hash string }

// url is the repository's address as GitLab gives it to a runner.
func (s *gitServer) url() string {
	scheme, rest, _ := strings.Cut(s.URL, "://")
	return scheme + "://" + gitUser + ":" + escapedPass + "@" + rest + "/group/app.git"
}

// escapedPass is gitPass inside a URL.
const escapedPass = "glcbt-64_s3cret+%2F=%25"

// testLog collects lines.
type testLog struct{ strings.Builder }

func (l *testLog) Notice(s string) { l.WriteString("N " + s + "\n") }
func (l *testLog) Warn(s string)   { l.WriteString("W " + s + "\n") }
func (l *testLog) Raw(s string)    { l.WriteString("  " + s + "\n") }
