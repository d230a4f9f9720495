package gitops

import (
	"context"
	"strings"
	"testing"
)

func TestTheClusterFollowsTheRepository(t *testing.T) {
	b := open(t, plain, map[string]string{"k8s/a.yaml": configMap("a", "x", "1"), "k8s/b.yaml": configMap("b", "x", "1"), "README.md": "no manifest"})
	first, err := b.gitlab.Project(shop)
	b.must(err)
	b.eventually("the first commit", func(context.Context) bool { return b.data("a")["x"] == "1" && b.data("b")["x"] == "1" })

	changed := b.push(map[string]string{"k8s/a.yaml": configMap("a", "x", "2")})
	if got := b.status(shop, changed, "success"); got != "2 objects, 1 configured" {
		t.Errorf("a change: %q", got)
	}
	if got := b.data("a")["x"]; got != "2" {
		t.Errorf("a holds %q", got)
	}

	moved := b.push(map[string]string{"k8s/a.yaml": "", "k8s/deep/er/a.yaml": configMap("a", "x", "2"), "k8s/b.yaml": ""})
	if got := b.status(shop, moved, "success"); got != "1 objects, 1 pruned" {
		t.Errorf("a deletion and a move: %q", got)
	}
	if b.data("b") != nil || b.data("a")["x"] != "2" {
		t.Errorf("a %v, b %v", b.data("a"), b.data("b"))
	}

	pushed, err := b.gitlab.ForcePush(shop, first.DefaultBranch, map[string]string{"k8s/c.yaml": configMap("c", "x", "1")})
	b.must(err)
	if got := b.status(shop, pushed, "success"); got != "1 objects, 1 created, 1 pruned" {
		t.Errorf("a forced push: %q", got)
	}

	wrong := b.push(map[string]string{"k8s/c.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {}\n"})
	if got := b.status(shop, wrong, "failed"); !strings.HasPrefix(got, "k8s/c.yaml:1: ConfigMap: .metadata.name: missing") {
		t.Errorf("a mistake: %q", got)
	}
	if b.data("c")["x"] != "1" {
		t.Error("a mistake has changed something")
	}
}
