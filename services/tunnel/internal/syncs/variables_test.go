package syncs

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/syncspec"
	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

const aValue = "battery-staple"

func withVariables(r agentconfig.GitRef, names ...string) agentconfig.Manifests {
	m := shop
	m.Ref, m.SubstituteGitLab = r, &agentconfig.GitLabVariables{Names: names}
	return m
}

func variable(key, value string) gitlab.Variable {
	return gitlab.Variable{Key: key, Value: value, Scope: "*"}
}

// succeed plays the runner for a task that is wanted.
func (b *bench) succeed(f *follower, want map[string]string) syncspec.Task {
	b.Helper()
	serial, task := b.claim("shop")
	if diff := cmp.Diff(want, task.Variables); diff != "" {
		b.Error(diff)
	}
	b.finish("shop", serial, syncspec.Report{State: syncspec.Succeeded, Commit: task.Commit, Entry: "shop"})
	f.step(b.Context())
	return task
}

// wanted is the serial of the newest task.
func (b *bench) wanted() int64 {
	b.Helper()
	rec, err := b.ledger.LoadSync(b.Context(), "shop")
	if err != nil && !errors.Is(err, ledger.ErrUnknown) {
		b.Fatal(err)
	}
	return rec.Wanted
}

func TestVariablesComeAlongAndAreFollowed(t *testing.T) {
	b := open(t, withVariables(agentconfig.GitRef{}, "TOKEN"))
	var log strings.Builder
	b.config.Log = slog.New(slog.NewTextHandler(&log, nil))
	b.world.variables = []gitlab.Variable{variable("TOKEN", aValue), variable("OTHER", "x")}
	f := b.follower("t1")
	f.step(t.Context())
	first := b.succeed(f, map[string]string{"TOKEN": aValue})
	for range 5 { // nothing changes, and GitLab is not asked at each look
		f.step(t.Context())
	}
	if n := b.wanted(); n != 1 || b.world.variableLooks != 1 {
		t.Errorf("%d tasks, %d looks at variables", n, b.world.variableLooks)
	}
	old := func() { f.variables.at = time.Now().Add(-variablesFresh) }
	old()
	f.step(t.Context())
	if n := b.wanted(); n != 1 || b.world.variableLooks != 2 {
		t.Errorf("%d tasks, %d looks at variables that are as they were", n, b.world.variableLooks)
	}
	b.world.variables[0].Value = "another-" + aValue
	f.step(t.Context())
	if n := b.wanted(); n != 1 {
		t.Errorf("%d tasks before a minute is over", n)
	}
	old()
	f.step(t.Context())
	second := b.succeed(f, map[string]string{"TOKEN": "another-" + aValue})
	if b.world.archives != 1 || second.Bundle != first.Bundle || second.Salt == first.Salt || len(first.Salt) < 20 {
		t.Errorf("%d archives, %+v", b.world.archives, second)
	}
	b.world.head = "c2" // a new commit takes variables as they are now
	b.world.variables[0].Value = "third-" + aValue
	f.step(t.Context())
	b.succeed(f, map[string]string{"TOKEN": "third-" + aValue})
	b.world.variables[0].Value = "fourth-" + aValue // and so does a wish
	f.outlook.asked.Store(true)
	f.step(t.Context())
	b.succeed(f, map[string]string{"TOKEN": "fourth-" + aValue})
	if text := log.String(); strings.Contains(text, aValue) || strings.Count(text, "variables in GitLab are others than before") != 2 {
		t.Error(text)
	}
	if text := strings.Join(b.world.statuses, "\n"); strings.Contains(text, aValue) || strings.Contains(text, "failed") {
		t.Error(text)
	}
}

func TestEntriesWithoutVariablesAskForNone(t *testing.T) {
	b := open(t, shop)
	f := b.follower("t1")
	for range 3 {
		f.step(t.Context())
	}
	if _, task := b.claim("shop"); task.Variables != nil || task.Salt != "" || b.world.variableLooks != 0 {
		t.Errorf("%d looks, %+v", b.world.variableLooks, task)
	}
}

func TestVariablesThatCannotBeGiven(t *testing.T) {
	b := open(t, withVariables(agentconfig.GitRef{}, "TOKEN"))
	b.world.noVariables = fmt.Errorf("%w (403 Forbidden)", gitlab.ErrRefused)
	f := b.follower("t1")
	f.step(t.Context())
	f.step(t.Context())
	const wrong = "42 c1 towline/prod/shop failed: substitute.gitlab: "
	want := wrong + "reading the variables of project acme/shop: GitLab refuses the token (403 Forbidden); --gitops-token-file needs a token with the role Maintainer there and the scope read_api"
	if got := strings.Join(b.world.statuses, "\n"); got != want || b.world.variableLooks != 1 || b.wanted() != 0 {
		t.Errorf("%d looks, %d tasks, %s", b.world.variableLooks, b.wanted(), got)
	}
	again := func() { f.again = time.Time{}; f.step(t.Context()) }
	b.world.noVariables = fmt.Errorf("%w (404 Project Not Found)", gitlab.ErrNoFile)
	again()
	b.world.noVariables = nil
	again()
	if text := f.last.Summary(); text != "substitute.gitlab: variable TOKEN of project acme/shop is not there; add it in the project's settings of CI/CD (those of groups are not read), or take it out of the entry" {
		t.Error(text)
	}
	// GitLab is away: that is nobody's mistake, and nothing is told of it.
	told := len(b.world.statuses)
	b.world.noVariables = errors.New("GitLab answers busy")
	again()
	if f.problem != "variables of project acme/shop: GitLab answers busy" || len(b.world.statuses) != told || b.wanted() != 0 {
		t.Errorf("%q, %v", f.problem, b.world.statuses)
	}
	b.world.noVariables, b.world.variables, f.lookAt = nil, []gitlab.Variable{variable("TOKEN", "")}, time.Time{}
	again()
	b.succeed(f, map[string]string{"TOKEN": ""})
	if got := b.world.statuses[len(b.world.statuses)-1]; !strings.HasPrefix(got, "42 c1 towline/prod/shop success") {
		t.Error(got)
	}
	// One that goes again fails what has succeeded, and nothing is applied.
	b.world.variables, f.variables.at = nil, time.Time{}
	f.step(t.Context())
	if got := b.world.statuses[len(b.world.statuses)-1]; !strings.HasPrefix(got, wrong+"variable TOKEN") || b.wanted() != 1 {
		t.Errorf("%d tasks, %s", b.wanted(), got)
	}
}

func TestProtectedVariablesAreForProtectedRefs(t *testing.T) {
	for name, tt := range map[string]struct {
		ref   agentconfig.GitRef
		looks string
		given bool
	}{
		"default branch": {agentconfig.GitRef{}, "branch main", true},
		"branch":         {agentconfig.GitRef{Branch: "main"}, "branch main", true},
		"other branch":   {agentconfig.GitRef{Branch: "feature"}, "branch feature", false},
		"tag":            {agentconfig.GitRef{Tag: "v1.0.0"}, "tag v1.0.0", true},
		"version":        {agentconfig.GitRef{Semver: "1.x"}, "tag v1.0.0", true},
		"other version":  {agentconfig.GitRef{Semver: "2.x"}, "tag v2.0.0", false},
		"commit":         {agentconfig.GitRef{Commit: "c1"}, "", false},
	} {
		b := open(t, withVariables(tt.ref, "TOKEN", "PLAIN"))
		b.world.tags = [][]gitlab.Tag{{{Name: "v1.0.0", Commit: "c1"}, {Name: "v2.0.0", Commit: "c2"}}}
		b.world.protected = []string{"branch main", "tag v1.0.0"}
		b.world.variables = []gitlab.Variable{{Key: "TOKEN", Value: aValue, Scope: "*", Protected: true}, variable("PLAIN", "p")}
		b.follower("t1").step(t.Context())
		if got := strings.Join(b.world.protectedLooks, ", "); got != tt.looks {
			t.Errorf("%s: it was asked about %q", name, got)
		}
		if got := b.wanted() == 1; got != tt.given {
			t.Errorf("%s: given is %t, %v", name, got, b.world.statuses)
		}
		if text := strings.Join(b.world.statuses, "\n"); !tt.given && !strings.Contains(text, "failed: substitute.gitlab: variable TOKEN of project acme/shop is protected, and "+tt.ref.String()+" is no protected branch or tag") {
			t.Errorf("%s: %s", name, text)
		}
	}
}
