package syncs

import (
	"strings"
	"testing"
	"time"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/syncspec"
)

func TestValuesOfOtherProjectsAreFollowed(t *testing.T) {
	m := agentconfig.Manifests{
		Name: "web/shop", Project: "acme/shop", Interval: time.Hour,
		Chart: &agentconfig.Chart{Release: "shop", Values: []agentconfig.ChartValues{{Inline: "a: 1"}, {File: "a.yaml", Project: "acme/values"}}},
	}
	b := open(t, m)
	b.world.heads = map[string]string{"acme/values": "v1"}
	f := b.follower("t1")
	bundled := func(want string) {
		t.Helper()
		f.step(t.Context())
		serial, task := b.claim("web/shop")
		packed, err := b.ledger.Bundle(t.Context(), b.seal, task.Bundle)
		if err != nil {
			t.Fatal(err)
		}
		files, err := syncspec.Unpack(packed)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, file := range files {
			got = append(got, file.Path+"="+string(file.Content))
		}
		if text := strings.Join(got, ", "); text != want || task.Commit != b.world.head {
			t.Errorf("%s of %s, want %s", text, task.Commit, want)
		}
		b.finish("web/shop", serial, syncspec.Report{State: syncspec.Succeeded, Commit: task.Commit, Entry: "web/shop"})
		f.step(t.Context())
	}
	bundled(".towline-values/1=commit: v1, a.yaml=commit: c1")
	b.world.heads["acme/values"] = "v2"
	bundled(".towline-values/1=commit: v2, a.yaml=commit: c1")
	b.world.head = "c2"
	bundled(".towline-values/1=commit: v2, a.yaml=commit: c2")
	f.step(t.Context())
	if rec, err := b.ledger.LoadSync(t.Context(), "web/shop"); err != nil || rec.Wanted != 3 {
		t.Errorf("without a change: %+v, %v", rec, err)
	}
	b.world.heads["acme/values"] = ""
	f.step(t.Context())
	if !strings.HasPrefix(f.problem, "values[1]: the default branch of project acme/values is not there") {
		t.Error(f.problem)
	}
}

func TestAFileOfValuesThatIsNotThere(t *testing.T) {
	m := agentconfig.Manifests{
		Name: "web/shop", Project: "acme/shop", Interval: time.Hour,
		Chart: &agentconfig.Chart{Release: "shop", Values: []agentconfig.ChartValues{{File: "b.yaml", Ref: agentconfig.GitRef{Tag: "v1"}}}},
	}
	b := open(t, m)
	f := b.follower("t1")
	f.step(t.Context())
	f.step(t.Context())
	const want = "42 c1 towline/prod/web/shop failed: values[0]: b.yaml of tag v1 of project acme/shop: there is no such file with values"
	if got := strings.Join(b.world.statuses, "\n"); got != want {
		t.Error(got)
	}
}
