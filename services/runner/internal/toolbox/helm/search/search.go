package search

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	"helm.sh/helm/v3/pkg/repo"
)

// separator stands between the searched fields of a chart.
const separator = "\v"

// Chart is one version of a chart.
type Chart struct {
	Name    string // with its repository: repo/chart
	Version *repo.ChartVersion

	text string // name, name with repository, description and keywords
	rank int    // the field that matched; the first is the best
}

// Index is what can be searched.
type Index struct{ charts []Chart }

// Add adds the charts of a repository.
func (x *Index) Add(repository string, file *repo.IndexFile) {
	for name, versions := range file.Entries {
		for _, v := range versions {
			x.charts = append(x.charts, Chart{
				Name: path.Join(repository, name), Version: v,
				text: strings.Join([]string{v.Name, repository + "/" + v.Name, v.Description, strings.Join(v.Keywords, " ")}, separator),
			})
		}
	}
}

// Find returns the charts that a term matches, best first: text in any case, or
// a regular expression. An empty term matches all.
func (x *Index) Find(term string, expression bool) ([]Chart, error) {
	find := func(text string) int { return strings.Index(strings.ToLower(text), strings.ToLower(term)) }
	if expression {
		matcher, err := regexp.Compile(term)
		if err != nil {
			return nil, err
		}
		find = func(text string) int {
			if at := matcher.FindStringIndex(text); at != nil {
				return at[0]
			}
			return -1
		}
	}
	var found []Chart
	for _, chart := range x.charts {
		at := find(chart.text)
		if at < 0 {
			continue
		}
		if term != "" {
			chart.rank = strings.Count(chart.text[:min(at, len(chart.text))], separator)
		}
		found = append(found, chart)
	}
	slices.SortFunc(found, compare)
	return found, nil
}

// compare puts better matches first, then names in order, then newer versions.
func compare(a, b Chart) int {
	return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.Name, b.Name), newer(a.Version.Version, b.Version.Version))
}

// newer orders versions; those that are none are compared as text.
func newer(a, b string) int {
	first, errFirst := semver.NewVersion(a)
	second, errSecond := semver.NewVersion(b)
	if errFirst != nil || errSecond != nil {
		return cmp.Compare(b, a)
	}
	return second.Compare(first)
}

// Within keeps the charts whose versions satisfy a constraint: all of them, or
// the first of each name.
func Within(charts []Chart, constraint string, all bool) ([]Chart, error) {
	wanted, err := semver.NewConstraint(constraint)
	if err != nil {
		return nil, fmt.Errorf("an invalid version/constraint format: %w", err)
	}
	var kept []Chart
	seen := map[string]bool{}
	for _, chart := range charts {
		if !all && seen[chart.Name] {
			continue
		}
		if v, err := semver.NewVersion(chart.Version.Version); err == nil && wanted.Check(v) {
			kept = append(kept, chart)
			seen[chart.Name] = true
		}
	}
	return kept, nil
}
