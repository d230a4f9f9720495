package workspace

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/towline/towline/services/runner/internal/egress"
)

func TestHostileTrees(t *testing.T) {
	outside := t.TempDir()
	tests := map[string]struct {
		tree func(s *gitServer) []treeEntry
		want string
	}{
		"dot dot":        {func(s *gitServer) []treeEntry { return []treeEntry{{"100644", "..", s.blob("x")}} }, "not a valid file name"},
		"dot":            {func(s *gitServer) []treeEntry { return []treeEntry{{"100644", ".", s.blob("x")}} }, "not a valid file name"},
		"slash":          {func(s *gitServer) []treeEntry { return []treeEntry{{"100644", "../evil", s.blob("x")}} }, "not a valid file name"},
		"absolute":       {func(s *gitServer) []treeEntry { return []treeEntry{{"100644", outside + "/evil", s.blob("x")}} }, "not a valid file name"},
		"backslash":      {func(s *gitServer) []treeEntry { return []treeEntry{{"100644", `a\b`, s.blob("x")}} }, "not a valid file name"},
		"empty":          {func(s *gitServer) []treeEntry { return []treeEntry{{"100644", "", s.blob("x")}} }, ""},
		".git file":      {func(s *gitServer) []treeEntry { return []treeEntry{{"100644", ".git", s.blob("x")}} }, "cannot contain .git"},
		".GIT directory": {func(s *gitServer) []treeEntry { return []treeEntry{{"40000", ".GIT", hooks(s)}} }, "cannot contain .git"},
		".git with dot":  {func(s *gitServer) []treeEntry { return []treeEntry{{"40000", ".git. ", hooks(s)}} }, "cannot contain .git"},
		"git~1":          {func(s *gitServer) []treeEntry { return []treeEntry{{"40000", "git~1", hooks(s)}} }, "cannot contain .git"},
		"duplicate file": {func(s *gitServer) []treeEntry {
			return []treeEntry{{"100644", "a", s.blob("x")}, {"100644", "a", s.blob("y")}}
		}, "file exists"},
		"link then write": {func(s *gitServer) []treeEntry {
			return []treeEntry{{"120000", "a", s.blob(outside + "/evil")}, {"100644", "a", s.blob("x")}}
		}, "file exists"},
		"link then folder": {func(s *gitServer) []treeEntry {
			return []treeEntry{{"120000", "a", s.blob(outside)}, {"40000", "a", hooks(s)}}
		}, "file exists"},
		"link to .git": {func(s *gitServer) []treeEntry {
			return []treeEntry{{"120000", "a", s.blob(".git")}, {"40000", "a", hooks(s)}}
		}, "file exists"},
		"folder then link": {func(s *gitServer) []treeEntry {
			return []treeEntry{{"40000", "a", hooks(s)}, {"120000", "a", s.blob(outside)}}
		}, "file exists"},
		"long link":    {func(s *gitServer) []treeEntry { return []treeEntry{{"120000", "a", s.blob(strings.Repeat("x", 5000))}} }, "link target"},
		"missing blob": {func(s *gitServer) []treeEntry { return []treeEntry{{"40000", "a", s.blob("not a tree")}} }, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := newGitServer(t, false)
			sha := s.commitTree(tt.tree(s)...)
			r, log := request(t, s, sha, nil)
			err := GetSources(t.Context(), r)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q; log %s", err, tt.want, log.String())
			}
			if left, _ := os.ReadDir(outside); len(left) > 0 {
				t.Errorf("written outside: %v", left)
			}
			for _, path := range []string{"../evil", ".git/hooks/post-checkout", ".GIT"} {
				if _, err := os.Lstat(filepath.Join(r.Dir, path)); err == nil {
					t.Errorf("%s exists", path)
				}
			}
		})
	}
}

// hooks is a tree that would be dangerous in the place of .git.
func hooks(s *gitServer) string {
	inner := s.tree("100755 blob " + s.blob("#!/bin/sh\n") + "\tpost-checkout\n")
	return s.tree("040000 tree " + inner + "\thooks\n")
}

func TestLinkOutsideStaysALink(t *testing.T) {
	s := newGitServer(t, false)
	if err := os.Symlink("/etc/passwd", filepath.Join(s.repo, "link")); err != nil {
		t.Fatal(err)
	}
	sha := s.commit(nil)
	r, _ := request(t, s, sha, nil)
	if err := GetSources(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if got := files(t, r.Dir)["link"]; got != "-> /etc/passwd" {
		t.Errorf("link %q", got)
	}
}

func TestUnknownModeIsAnEmptyDirectory(t *testing.T) {
	s := newGitServer(t, false)
	sha := s.commitTree(treeEntry{"20644", "device", s.blob("x")}) // git takes it for a submodule, too
	r, _ := request(t, s, sha, nil)
	if err := GetSources(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(filepath.Join(r.Dir, "device")); err != nil || !info.IsDir() {
		t.Errorf("%v %v", info, err)
	}
}

func TestLFSPointersAreNoted(t *testing.T) {
	s := newGitServer(t, false)
	sha := s.commit(map[string]string{"big": lfsPrefix + "v1\noid sha256:x\nsize 1\n", "small": "x"})
	r, log := request(t, s, sha, nil)
	if err := GetSources(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "W 1 files are Git LFS pointers") {
		t.Errorf("log %q", log.String())
	}
}

func TestResponseLimit(t *testing.T) {
	b := egress.Bound(http0{}, 10, errTooLarge)
	n, err := 0, error(nil)
	for err == nil {
		var k int
		k, err = b.Read(make([]byte, 4))
		n += k
	}
	if n != 10 || !strings.Contains(err.Error(), "too large") {
		t.Errorf("read %d, %v", n, err)
	}
}

// http0 is an endless body.
type http0 struct{}

func (http0) Read(p []byte) (int, error) { return len(p), nil }
func (http0) Close() error               { return nil }

func FuzzSafeName(f *testing.F) {
	for _, s := range []string{"a", "..", ".git", "a/b", "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if safeName(name) == nil && (filepath.Base(name) != name || strings.EqualFold(name, ".git") || name == "..") {
			t.Errorf("%q was accepted", name)
		}
	})
}

func BenchmarkGetSources(b *testing.B) {
	s := newGitServer(b, false)
	sha := s.commit(map[string]string{"k8s/deployment.yaml": "a: b\n", "k8s/service.yaml": "a: c\n", "README.md": "x\n"})
	for b.Loop() {
		r, log := request(b, s, sha, nil)
		if err := GetSources(b.Context(), r); err != nil {
			b.Fatal(err, log.String())
		}
	}
}
