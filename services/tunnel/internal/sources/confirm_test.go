package sources

import (
	"strings"
	"testing"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/syncspec"
	"github.com/towline/towline/services/tunnel/internal/gitobject"
)

func TestTheArchiveIsHeldAgainstTheCommit(t *testing.T) {
	commit := gitobject.ID(strings.Repeat("1", 40))
	file := func(path, content string) gitobject.File {
		return gitobject.File{Path: path, ID: gitobject.OfFile([]byte(content), commit), Regular: true}
	}
	files := []syncspec.File{{Path: "k8s/a.yaml", Content: []byte("a")}, {Path: "k8s/b.yaml", Content: []byte("b")}}
	// A build takes every file; links are left out of it on both sides.
	if err := Confirm(agentconfig.Manifests{Kustomize: "k8s"}, files, []gitobject.File{file("k8s/a.yaml", "a"), file("k8s/b.yaml", "b"), file("README.md", "x")}, commit); err == nil {
		t.Error("a build without a file of the commit was taken")
	}
	link := gitobject.File{Path: "k8s/link", ID: "x"}
	for want, tree := range map[string][]gitobject.File{
		"": {file("README.md", "x"), file("k8s/a.yaml", "a"), file("k8s/b.yaml", "b"), link},
		"k8s/c.yaml is in the commit, and not in the archive":     {file("k8s/a.yaml", "a"), file("k8s/b.yaml", "b"), file("k8s/c.yaml", "c")},
		"k8s/b.yaml in the archive is not the file of the commit": {file("k8s/a.yaml", "a"), file("k8s/b.yaml", "version https://git-lfs.github.com/spec/v1")},
		"k8s/b.yaml is in the archive that GitLab makes":          {file("k8s/a.yaml", "a")},
	} {
		if err := Confirm(globs("k8s/*"), files, tree, commit); (err == nil) != (want == "") || err != nil && !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
