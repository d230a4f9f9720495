package search

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/repo"
)

func index() *Index {
	file := &repo.IndexFile{Entries: map[string]repo.ChartVersions{}}
	for _, m := range []chart.Metadata{
		{Name: "web", Version: "1.0.0", Description: "serves pages"},
		{Name: "web", Version: "1.1.0", Description: "serves pages"},
		{Name: "web", Version: "2.0.0-rc.1", Description: "serves pages"},
		{Name: "pages", Version: "0.1.0", Keywords: []string{"Static"}},
		{Name: "odd", Version: "not a version", Description: "web of lies"},
	} {
		file.Entries[m.Name] = append(file.Entries[m.Name], &repo.ChartVersion{Metadata: &m})
	}
	x := new(Index)
	x.Add("r", file)
	return x
}

func TestFind(t *testing.T) {
	for _, c := range []struct {
		name, term, constraint string
		expression, all        bool
		want                   []string
	}{
		{name: "everything stable", constraint: ">0.0.0", want: []string{"r/pages 0.1.0", "r/web 1.1.0"}},
		{name: "a name before a description", term: "PAGES", constraint: ">0.0.0", want: []string{"r/pages 0.1.0", "r/web 1.1.0"}},
		{name: "keyword", term: "static", constraint: ">0.0.0", want: []string{"r/pages 0.1.0"}},
		{name: "all versions", term: "r/web", constraint: ">0.0.0-0", all: true, want: []string{"r/web 2.0.0-rc.1", "r/web 1.1.0", "r/web 1.0.0"}},
		{name: "older", term: "web", constraint: "<1.1.0", want: []string{"r/web 1.0.0"}},
		{name: "expression", term: "^w.b", constraint: ">0.0.0", expression: true, want: []string{"r/web 1.1.0"}},
		{name: "nothing", term: "nothing", constraint: ">0.0.0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			found, err := index().Find(c.term, c.expression)
			if err != nil {
				t.Fatal(err)
			}
			if found, err = Within(found, c.constraint, c.all); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, ch := range found {
				got = append(got, ch.Name+" "+ch.Version.Version)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFindRefusesBadInput(t *testing.T) {
	if _, err := index().Find("(", true); err == nil {
		t.Error("an expression that does not compile was accepted")
	}
	if _, err := Within(nil, "newest", false); err == nil {
		t.Error("a constraint that is none was accepted")
	}
}
