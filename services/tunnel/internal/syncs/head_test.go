package syncs

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

func TestAnEntryFollowsVersions(t *testing.T) {
	m := shop
	m.Ref = agentconfig.GitRef{Semver: ">=1.2.0 <2"}
	b := open(t, m)
	b.world.tags = [][]gitlab.Tag{{{Name: "v2.0.0", Commit: "c2"}}, {{Name: "v1.3.0", Commit: "c13"}, {Name: "v1.2.0", Commit: "c12"}}}
	f := b.follower("t1")
	look := func(want string, pages ...int) {
		t.Helper()
		b.world.asked = nil
		if err := f.look(t.Context(), "token"); err != nil || f.head.ID != want {
			t.Errorf("%v at %q, want %s", err, f.head.ID, want)
		}
		if diff := cmp.Diff(pages, b.world.asked); diff != "" {
			t.Error(diff)
		}
	}
	look("c13", 1, 2)
	look("c13", 1)
	b.world.tags[1] = append(b.world.tags[1], gitlab.Tag{Name: "1.10.0", Commit: "c110"})
	look("c13", 1) // what changes behind the first page is seen a little later
	f.tagLists.of(looked{token: "token", project: "acme/shop"}).value.at = time.Now().Add(-tagsFresh)
	look("c110", 1, 2)
	b.world.tags = [][]gitlab.Tag{{{Name: "v1.11.0", Commit: "c111"}}}
	look("c111", 1)

	b.world.tags[0] = []gitlab.Tag{{Name: "v2.0.0", Commit: "c2"}}
	for range 2 {
		err := f.look(t.Context(), "token")
		if want := "project acme/shop: no version to follow: none of its 1 tags is a version in >=1.2.0 <2; the cluster stays as it is until there is one"; err == nil || err.Error() != want || f.head.ID != "c111" {
			t.Errorf("%v, at %s", err, f.head.ID)
		}
	}
	b.world.tags[0] = []gitlab.Tag{{Name: "v2.0.1", Commit: "c2"}}
	for range maxTagPages {
		b.world.tags = append(b.world.tags, b.world.tags[0])
	}
	if err := f.look(t.Context(), "token"); err == nil || !strings.Contains(err.Error(), "more than 2000 tags") {
		t.Errorf("%v", err)
	}
}
