package syncspec

import (
	"fmt"
	"strings"
	"testing"

	"github.com/towline/towline/pkg/agentconfig"
)

func TestWhatAViewKnowsOfCommits(t *testing.T) {
	var v View
	for _, c := range []string{"", "a", "b", "b", "c", "a"} {
		v.Stood(c)
	}
	if got := strings.Join(v.Heads, " "); got != "b c a" || v.Head() != "a" {
		t.Errorf("%q", got)
	}
	for _, tt := range []struct {
		later, commit string
		want          bool
	}{{"c", "b", true}, {"b", "c", false}, {"a", "c", true}, {"x", "x", true}, {"c", "x", false}, {"x", "c", false}} {
		if got := v.Includes(tt.later, tt.commit); got != tt.want {
			t.Errorf("%s includes %s: %t", tt.later, tt.commit, got)
		}
	}
	v.Preceded("p")
	v.Preceded("b")
	if got := strings.Join(v.Heads, " "); got != "b c p a" {
		t.Errorf("%q", got)
	}
	(&View{}).Preceded("p")
	for n := range MaxHeads + 3 {
		v.Stood(fmt.Sprint(n))
	}
	if len(v.Heads) != MaxHeads || v.Heads[0] != "3" {
		t.Errorf("%d heads, the first is %s", len(v.Heads), v.Heads[0])
	}
}

func TestWhoMayAsk(t *testing.T) {
	v := View{Entry: agentconfig.Manifests{Project: "acme/shop", Jobs: []string{"acme/deploy"}}}
	for project, want := range map[string]bool{"acme/shop": true, "Acme/Shop": true, "acme/deploy": true, "acme/shop2": false, "acme": false, "": false} {
		if v.MayAsk(project) != want {
			t.Errorf("%q: %t", project, !want)
		}
	}
	if v := (View{}); v.MayAsk("") {
		t.Error("nobody may ask about nothing")
	}
}

func TestNamesOfEntries(t *testing.T) {
	for name, want := range map[string]bool{
		"acme/shop": true, "web/shop-1": true, "größe": true, "": false, "a b": false, "a}": false, "{a": false, "a*": false, "a\n": false,
		strings.Repeat("x", MaxName+1): false,
	} {
		if IsName(name) != want {
			t.Errorf("%q: %t", name, !want)
		}
	}
}

func TestWhatGitLabWasTold(t *testing.T) {
	var v View
	for n := range MaxTold + 1 {
		v.Tell(fmt.Sprint(n), "pending")
	}
	v.Tell("1", "success")
	if len(v.Told) != MaxTold || v.ToldOf("0") != "" || v.ToldOf("1") != "success" || v.Told[0].Commit != "2" {
		t.Errorf("%+v", v.Told)
	}
}
