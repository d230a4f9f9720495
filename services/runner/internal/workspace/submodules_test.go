package workspace

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// nested is a server with three repositories: app contains lib, lib contains
// deep, and both ask for them by relative addresses.
func nested(t *testing.T, libURL string) (s *gitServer, sha string) {
	t.Helper()
	s = newGitServer(t, false)
	app := s.repo
	add := func(name, path, url, into string) {
		s.repo = into
		if err := os.WriteFile(filepath.Join(into, ".gitmodules"), []byte("[submodule \""+name+"\"]\n\tpath = "+path+"\n\turl = "+url+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	create := func(name string) string {
		s.repo = filepath.Join(filepath.Dir(app), name+".git")
		if err := os.MkdirAll(s.repo, 0o755); err != nil {
			t.Fatal(err)
		}
		s.git("init", "-q", "-b", "main")
		s.git("config", "uploadpack.allowAnySHA1InWant", "true")
		return s.repo
	}
	create("deep")
	deepSHA := s.commit(map[string]string{"deep.txt": "deep"})
	lib := create("lib")
	add("deep", "inner/deep", "../deep.git", lib)
	s.git("update-index", "--add", "--cacheinfo", "160000,"+deepSHA+",inner/deep")
	libSHA := s.commitFiles(map[string]string{"lib.txt": "lib"})
	s.commitFiles(map[string]string{"lib.txt": "later"}) // app wants the earlier one
	add("lib", "vendor/lib", libURL, app)
	s.git("update-index", "--add", "--cacheinfo", "160000,"+libSHA+",vendor/lib")
	sha = s.commitFiles(map[string]string{"app.txt": "app"})
	s.git("update-ref", "refs/pipelines/7", sha)
	return s, sha
}

// commitFiles commits files without touching entries of submodules.
func (s *gitServer) commitFiles(files map[string]string) string {
	s.t.Helper()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(s.repo, name), []byte(content), 0o644); err != nil {
			s.t.Fatal(err)
		}
		s.git("add", name)
	}
	s.git("add", ".gitmodules")
	s.git("commit", "-q", "-m", "commit")
	return s.git("rev-parse", "HEAD")
}

func TestSubmodules(t *testing.T) {
	app := map[string]string{"app.txt": "app"}
	normal := map[string]string{"app.txt": "app", "vendor/lib/lib.txt": "lib"}
	all := map[string]string{"app.txt": "app", "vendor/lib/lib.txt": "lib", "vendor/lib/inner/deep/deep.txt": "deep"}
	for name, tt := range map[string]struct {
		vars map[string]string
		want map[string]string
	}{
		"none":          {map[string]string{"GIT_SUBMODULE_STRATEGY": "none"}, app},
		"normal":        {map[string]string{"GIT_SUBMODULE_STRATEGY": "normal"}, normal},
		"recursive":     {map[string]string{"GIT_SUBMODULE_STRATEGY": "recursive"}, all},
		"whole history": {map[string]string{"GIT_SUBMODULE_STRATEGY": "recursive", "GIT_SUBMODULE_DEPTH": "0"}, all},
		"depth 1":       {map[string]string{"GIT_SUBMODULE_STRATEGY": "recursive", "GIT_SUBMODULE_DEPTH": "1"}, all},
		"path":          {map[string]string{"GIT_SUBMODULE_STRATEGY": "normal", "GIT_SUBMODULE_PATHS": "vendor"}, normal},
		"other path":    {map[string]string{"GIT_SUBMODULE_STRATEGY": "normal", "GIT_SUBMODULE_PATHS": "other"}, app},
		"excluded":      {map[string]string{"GIT_SUBMODULE_STRATEGY": "normal", "GIT_SUBMODULE_PATHS": ":(exclude)vendor/lib"}, app},
	} {
		t.Run(name, func(t *testing.T) {
			s, sha := nested(t, "../lib.git")
			r, log := request(t, s, sha, tt.vars)
			if err := GetSources(t.Context(), r); err != nil {
				t.Fatalf("%v\n%s", err, log.String())
			}
			got := files(t, r.Dir)
			for path := range got {
				if strings.Contains(path, ".git") {
					delete(got, path)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if strings.Contains(log.String(), "s3cret") {
				t.Errorf("log %s", log.String())
			}
			s.repo = r.Dir
			if status := s.git("status", "--porcelain", "--ignore-submodules=none"); status != "" && len(got) > 1 {
				t.Errorf("git status: %s", status)
			}
		})
	}
}

func TestAddressesOfSubmodules(t *testing.T) {
	get := func(force string) func(string) string {
		return func(key string) string { return map[string]string{"GIT_SUBMODULE_FORCE_HTTPS": force}[key] }
	}
	for raw, want := range map[string]string{
		"../lib.git":                           "https://u:p@gitlab.example.com/acme/lib.git",
		"../../other/x.git":                    "https://u:p@gitlab.example.com/other/x.git",
		"https://gitlab.example.com/a/b.git":   "https://u:p@gitlab.example.com/a/b.git",
		"https://x:y@gitlab.example.com/a.git": "https://u:p@gitlab.example.com/a.git",
		"http://gitlab.example.com/a/b.git":    "http://gitlab.example.com/a/b.git",
		"https://gitlab.example.com:444/b":     "https://gitlab.example.com:444/b",
		"https://x:y@example.org/b.git":        "https://example.org/b.git",
		"git@gitlab.example.com:a/b.git":       "https://u:p@gitlab.example.com/a/b.git",
		"ssh://git@gitlab.example.com/a.git":   "https://u:p@gitlab.example.com/a.git",
		"git@example.org:a/b.git":              "",
		"file:///etc":                          "",
		"/etc":                                 "",
		"ext::sh -c x":                         "",
	} {
		r := Request{Get: get("true")}
		r.Git.RepoURL = "https://u:p@gitlab.example.com/acme/app.git"
		got, err := r.moduleURL(raw)
		if want == "" {
			if err == nil {
				t.Errorf("%s: became %s", raw, got)
			}
			continue
		}
		if err != nil || got.String() != want {
			t.Errorf("%s: %v, %v; want %s", raw, got, err, want)
		}
	}
	r := Request{Get: get("")}
	r.Git.RepoURL = "https://u:p@gitlab.example.com/acme/app.git"
	if _, err := r.moduleURL("git@gitlab.example.com:a/b.git"); err == nil || !strings.Contains(err.Error(), "GIT_SUBMODULE_FORCE_HTTPS=true") {
		t.Errorf("error %v", err)
	}
}

func TestFaultsOfSubmodules(t *testing.T) {
	for url, want := range map[string]string{
		"../missing.git":     "submodule vendor/lib: unable to access",
		"git@other.host:x/y": `scheme "ssh"`,
		"../app.git":         "submodule vendor/lib: ",
	} {
		s, sha := nested(t, url)
		r, log := request(t, s, sha, map[string]string{"GIT_SUBMODULE_STRATEGY": "recursive"})
		if err := GetSources(t.Context(), r); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error()+log.String(), "s3cret") {
			t.Errorf("%s: error %v, want %s; log %s", url, err, want, log.String())
		}
	}
}

func TestUntracked(t *testing.T) {
	s := newGitServer(t, false)
	sha := s.commit(map[string]string{"a": "1", "dir/b": "2", ".gitignore": "ignored\n"})
	r, _ := request(t, s, sha, nil)
	if err := GetSources(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"new", "dir/new", "ignored", "other/file", "odd\nname"} {
		path := filepath.Join(r.Dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s.repo = filepath.Join(r.Dir, "other")
	s.git("init", "-q")
	s.repo = r.Dir
	var want []string
	for name := range strings.SplitSeq(s.git("ls-files", "-o", "-z"), "\x00") {
		if name != "" && !strings.HasSuffix(name, "/") {
			want = append(want, name)
		}
	}
	got, err := Untracked(t.Context(), r.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("git ls-files -o says (-git +here):\n%s", diff)
	}
	if _, err := Untracked(t.Context(), t.TempDir()); err == nil || !strings.Contains(err.Error(), "no Git repository") {
		t.Errorf("error %v", err)
	}
}
