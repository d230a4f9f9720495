package workspace

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/jobspec"
)

func request(t testing.TB, s *gitServer, sha string, vars map[string]string) (Request, *testLog) {
	t.Helper()
	log := &testLog{}
	return Request{
		Dir: t.TempDir(),
		Git: jobspec.GitInfo{
			RepoURL: s.url(), SHA: sha, Ref: "main", Depth: 20,
			Refspecs: []string{"+refs/pipelines/7:refs/pipelines/7", "+refs/heads/main:refs/remotes/origin/main"},
		},
		Get: func(key string) string { return vars[key] }, UserAgent: "towline-runner/test", Log: log,
	}, log
}

// files lists a directory without .git: names, and contents of files.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case path == gitDir:
			return fs.SkipDir
		case d.IsDir():
			return nil
		case d.Type() == fs.ModeSymlink:
			target, err := os.Readlink(filepath.Join(dir, path))
			out[path] = "-> " + target
			return err
		}
		content, err := os.ReadFile(filepath.Join(dir, path))
		out[path] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestCheckout(t *testing.T) {
	for _, depth := range []int{20, 1, 0} {
		for _, strategy := range []string{"", "clone", "fetch"} {
			t.Run(fmt.Sprint(depth, strategy), func(t *testing.T) {
				s := newGitServer(t, false)
				for i := range 4 {
					s.commit(map[string]string{"count": fmt.Sprint(i)})
				}
				if err := os.Symlink("deep/er/file", filepath.Join(s.repo, "link")); err != nil {
					t.Fatal(err)
				}
				s.commit(map[string]string{"deep/er/file": "content\n", "empty": "", "run.sh": "#!/bin/sh\n"})
				s.git("update-index", "--chmod=+x", "run.sh")
				s.git("commit", "-q", "-m", "mode")
				sha := s.git("rev-parse", "HEAD")
				s.git("update-ref", "refs/pipelines/7", sha)
				s.commit(map[string]string{"later": "not to be seen"})
				s.git("update-ref", "refs/pipelines/7", sha)

				r, log := request(t, s, sha, map[string]string{"GIT_STRATEGY": strategy})
				r.Git.Depth = depth
				if err := GetSources(t.Context(), r); err != nil {
					t.Fatal(err)
				}
				want := map[string]string{"count": "3", "deep/er/file": "content\n", "empty": "", "run.sh": "#!/bin/sh\n", "link": "-> deep/er/file"}
				if diff := cmp.Diff(want, files(t, r.Dir)); diff != "" {
					t.Error(diff)
				}
				if info, err := os.Stat(filepath.Join(r.Dir, "run.sh")); err != nil || info.Mode()&0o100 == 0 {
					t.Errorf("run.sh: %v %v", info.Mode(), err)
				}
				fetching := fmt.Sprintf("Fetching changes with git depth set to %d...", depth)
				if depth == 0 {
					fetching = "Fetching changes..."
				}
				wantLog := "N " + fetching + "\n  Initialized empty Git repository in " + r.Dir + "/.git/\nN Created fresh repository.\n" +
					"N Checking out " + sha[:8] + " as detached HEAD (ref is main)...\nN Skipping Git submodules setup\n"
				if diff := cmp.Diff(wantLog, log.String()); diff != "" {
					t.Error(diff)
				}
				if s.requests.Load() != 2 {
					t.Errorf("%d requests", s.requests.Load())
				}
				checkRepository(t, s, r.Dir, sha, depth)
			})
		}
	}
}

// checkRepository has the system's git look at what we made.
func checkRepository(t *testing.T, s *gitServer, dir, sha string, depth int) {
	t.Helper()
	s.repo = dir
	if head := s.git("rev-parse", "HEAD"); head != sha {
		t.Errorf("HEAD is %s", head)
	}
	if ref := s.git("rev-parse", "refs/pipelines/7"); ref != sha {
		t.Errorf("pipeline ref is %s", ref)
	}
	s.git("fsck", "--strict")
	want := 6
	if depth == 1 {
		want = 1
	}
	if n := len(strings.Fields(s.git("rev-list", "HEAD"))); n != want {
		t.Errorf("%d commits, want %d", n, want)
	}
	if status := s.git("status", "--porcelain", "--ignored"); status != "" {
		t.Errorf("git status: %s", status)
	}
	config, err := os.ReadFile(filepath.Join(dir, ".git", "config"))
	if err != nil || strings.Contains(string(config), "s3cret") || strings.Contains(string(config), gitUser) {
		t.Errorf("config %s, %v", config, err)
	}
}

func TestStrategiesWithoutSources(t *testing.T) {
	for strategy, want := range map[string]string{
		"none":  "N Skipping Git repository setup\n",
		"empty": "N Skipping Git repository setup and creating an empty build directory\n",
	} {
		log := &testLog{}
		r := Request{Dir: t.TempDir(), Get: func(string) string { return strategy }, Log: log}
		if err := GetSources(t.Context(), r); err != nil {
			t.Error(err)
		}
		if log.String() != want+"N Skipping Git checkout\nN Skipping Git submodules setup\n" {
			t.Errorf("log %q", log.String())
		}
	}
}

func TestFailuresHoldNoCredential(t *testing.T) {
	s := newGitServer(t, false)
	sha := s.commit(map[string]string{"a": "b"})
	tests := map[string]struct {
		change func(*Request)
		want   string
	}{
		"wrong token":    {func(r *Request) { r.Git.RepoURL = strings.Replace(r.Git.RepoURL, "s3cret", "wr0ng", 1) }, "authentication required"},
		"no repository":  {func(r *Request) { r.Git.RepoURL = strings.Replace(r.Git.RepoURL, "app", "nope", 1) }, "repository not found"},
		"closed port":    {func(r *Request) { r.Git.RepoURL = "http://u:" + escapedPass + "@127.0.0.1:1/x.git" }, "refused"},
		"file":           {func(r *Request) { r.Git.RepoURL = "file:///etc" }, `scheme "file"`},
		"ssh":            {func(r *Request) { r.Git.RepoURL = "ssh://git@x/y" }, `scheme "ssh"`},
		"unreadable url": {func(r *Request) { r.Git.RepoURL = "http://u:s3cret@x\x7f/" }, "cannot be read"},
		"bad sha":        {func(r *Request) { r.Git.SHA = "--upload-pack=x" }, "is not a commit id"},
		"unknown sha":    {func(r *Request) { r.Git.SHA = strings.Repeat("1", 40) }, "reference is not a tree"},
		"missing ref":    {func(r *Request) { r.Git.Refspecs = []string{"+refs/pipelines/8:refs/pipelines/8"} }, "couldn't find remote ref refs/pipelines/8"},
		"bad refspec":    {func(r *Request) { r.Git.Refspecs = []string{"::"} }, "refspec"},
		"sha256":         {func(r *Request) { r.Git.RepoObjectFormat = "sha256" }, "object format"},
		"submodules":     {func(r *Request) { r.Get = func(string) string { return "all" } }, "unknown GIT_SUBMODULE_STRATEGY"},
		"dead proxy":     {func(r *Request) { r.Proxy = "http://job:gr4nt@127.0.0.1:1" }, "refused"},
		"bad CA":         {func(r *Request) { r.CA = "nothing" }, "no certificate"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r, log := request(t, s, sha, nil)
			tt.change(&r)
			err := GetSources(t.Context(), r)
			var failure *Error
			if !errors.As(err, &failure) || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v, want %q", err, tt.want)
			}
			for _, secret := range []string{"s3cret", "wr0ng", "gr4nt"} {
				if strings.Contains(err.Error()+log.String(), secret) {
					t.Errorf("%s in %q and %q", secret, err, log.String())
				}
			}
			if !strings.HasSuffix(log.String(), "  fatal: "+err.Error()+"\n") {
				t.Errorf("log %q", log.String())
			}
		})
	}
}

func TestAttempts(t *testing.T) {
	s := newGitServer(t, false)
	sha := s.commit(map[string]string{"a": "b"})
	s.fail.Store(1)
	r, log := request(t, s, sha, map[string]string{"GET_SOURCES_ATTEMPTS": "1"})
	if err := GetSources(t.Context(), r); err == nil {
		t.Fatal("one attempt was not the only one")
	}
	if !strings.Contains(log.String(), "502") {
		t.Errorf("log %q", log.String())
	}
}

func TestRetryStopsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		gone := errors.New("gone")
		log := &testLog{}
		r := Request{
			Dir: t.TempDir(), Log: log,
			Git: jobspec.GitInfo{RepoURL: "ftp://x/y", SHA: strings.Repeat("1", 40)},
			Get: func(key string) string { return map[string]string{"GET_SOURCES_ATTEMPTS": "3"}[key] },
		}
		go func() { synctest.Wait(); cancel(gone) }()
		if err := GetSources(ctx, r); !errors.Is(err, gone) {
			t.Errorf("error %v", err)
		}
	})
}

func TestProxyAndCA(t *testing.T) {
	s := newGitServer(t, true)
	sha := s.commit(map[string]string{"a": "b"})
	proxy, seen := connectProxy(t, "job", "gr4nt")
	r, _ := request(t, s, sha, nil)
	r.Proxy = proxy
	r.CA = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	if err := GetSources(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if u, _ := url.Parse(s.URL); len(*seen) != 1 || (*seen)[0] != u.Host {
		t.Errorf("proxy saw %v", *seen)
	}
	r, _ = request(t, s, sha, nil)
	r.Proxy = proxy
	if err := GetSources(t.Context(), r); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("without the CA: %v", err)
	}
}

// connectProxy is a CONNECT proxy with basic authentication.
func connectProxy(t *testing.T, user, pass string) (address string, seen *[]string) {
	t.Helper()
	seen = new([]string)
	p := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		auth := http.Request{Header: http.Header{"Authorization": r.Header["Proxy-Authorization"]}}
		if u, pw, ok := auth.BasicAuth(); !ok || u != user || pw != pass || r.Method != http.MethodConnect {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		*seen = append(*seen, r.Host)
		up, err := net.Dial("tcp", r.Host)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		down, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		io.WriteString(down, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { io.Copy(up, down); up.Close() }()
		io.Copy(down, up)
		down.Close()
	}))
	t.Cleanup(p.Close)
	u, _ := url.Parse(p.URL)
	u.User = url.UserPassword(user, pass)
	return u.String(), seen
}

func TestRedirectToAnotherHostDropsCredentials(t *testing.T) {
	var got []string
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Header.Get("Authorization"))
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer other.Close()
	first := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+r.URL.RequestURI(), http.StatusFound)
	}))
	defer first.Close()
	log := &testLog{}
	r := Request{
		Dir: t.TempDir(), Log: log, Get: func(string) string { return "" },
		Git: jobspec.GitInfo{RepoURL: strings.Replace(first.URL, "http://", "http://u:s3cret@", 1) + "/x.git", SHA: strings.Repeat("1", 40)},
	}
	if err := GetSources(t.Context(), r); err == nil {
		t.Error("no error")
	}
	if len(got) == 0 || got[0] != "" {
		t.Errorf("authorization at the other host: %q", got)
	}
}
