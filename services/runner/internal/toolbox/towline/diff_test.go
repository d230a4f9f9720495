package towline

import (
	"context"
	"strings"
	"testing"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/services/runner/internal/inquiry"
	"github.com/towline/towline/services/runner/internal/syncer"
	"github.com/towline/towline/services/runner/internal/toolbox/kubectl"
	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

func TestWhichDiffIsMeant(t *testing.T) {
	for line, want := range map[string]bool{
		"-f a": true, "-fa": true, "--filename=a": true, "-k .": true, "--kustomize .": true, "-n x -f a": true,
		"": false, "acme/shop": false, "--report f": false, "-n x": false, "shop --exit-code": false,
	} {
		if got := ofFiles(strings.Fields(line)); got != want {
			t.Errorf("%q: %t", line, got)
		}
	}
}

func TestDiffsThatCannotBe(t *testing.T) {
	entry := agentconfig.Manifests{Name: "acme/shop", Globs: []string{"k8s/*.yaml"}}
	tests := map[string]struct {
		answer *inquiry.Answer
		args   string
		want   string
	}{
		"two names":     {nil, "a b", "name one entry"},
		"unknown flag":  {nil, "--json", "unknown flag"},
		"no name":       {nil, "a}", "this is no name of an entry"},
		"refused":       {&inquiry.Answer{Refusal: "jobs of x may not"}, "", "towline diff: jobs of x may not\n"},
		"not told":      {&inquiry.Answer{Entry: "acme/shop"}, "", "does not say what acme/shop does"},
		"another tree":  {&inquiry.Answer{Entry: "e", Project: "acme/other", Settings: &inquiry.Settings{Entry: entry}}, "e", "the source of e is acme/other, and this working tree is of acme/shop; name a tree of the source with --dir\n"},
		"nothing there": {&inquiry.Answer{Entry: "e", Project: "acme/shop", Settings: &inquiry.Settings{Entry: entry}}, "e", "the working tree has no file that the entry chooses"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			ask := func(context.Context, inquiry.Question) (inquiry.Answer, error) { return *tt.answer, nil }
			var errs strings.Builder
			dir := t.TempDir()
			code := New(kubectl.New(dir), ask, syncer.Outside{}).Run(t.Context(), tool.Invocation{
				Args: append([]string{"diff"}, strings.Fields(tt.args)...), Dir: dir, Stderr: &errs, Environ: []string{"CI_PROJECT_PATH=acme/shop", "CI_PROJECT_DIR=" + dir},
			})
			if code != exitTrouble || !strings.Contains(errs.String(), tt.want) {
				t.Errorf("%d %s", code, &errs)
			}
		})
	}
	var errs strings.Builder
	if code := New(kubectl.New(t.TempDir()), nil, syncer.Outside{}).Run(t.Context(), tool.Invocation{Args: []string{"diff"}, Stderr: &errs}); code != exitTrouble || !strings.Contains(errs.String(), "in a job only") {
		t.Errorf("%d %s", code, &errs)
	}
}
