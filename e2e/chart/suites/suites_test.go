package suites

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/helm-unittest/helm-unittest/pkg/unittest"
	"github.com/helm-unittest/helm-unittest/pkg/unittest/results"
	"github.com/helm-unittest/helm-unittest/pkg/unittest/snapshot"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
)

const (
	name = "towline"
	root = "../../../charts/" + name
)

func load(t *testing.T) *chart.Chart {
	t.Helper()
	c, err := loader.Load(root)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func files(t *testing.T) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(root, "tests", "*_test.yaml"))
	if err != nil || len(all) == 0 {
		t.Fatalf("no suites: %v", err)
	}
	return all
}

// parse reads a suite anew: to run one changes it.
func parse(t *testing.T, file string) *unittest.TestSuite {
	t.Helper()
	all, err := unittest.ParseTestSuiteFile(file, name, true, nil)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if len(all) != 1 {
		t.Fatalf("%s has %d suites, want one", file, len(all))
	}
	return all[0]
}

func run(s *unittest.TestSuite, c *chart.Chart) []*results.TestJobResult {
	return s.RunV3(c, &snapshot.Cache{}, false, "", &results.TestSuiteResult{}).TestsResult
}

func TestSuitesPass(t *testing.T) {
	c := load(t)
	for _, file := range files(t) {
		s := parse(t, file)
		for _, r := range run(s, c) {
			t.Run(s.Name+"/"+r.DisplayName, func(t *testing.T) { check(t, r) })
		}
	}
}

func check(t *testing.T, r *results.TestJobResult) {
	t.Helper()
	switch {
	case r.Skipped:
		t.Error("it is skipped, which proves nothing")
	case !r.Passed && r.ExecError != nil:
		t.Error(r.ExecError)
	case len(r.AssertsResult) == 0:
		t.Error("it asserts nothing")
	}
	for _, a := range r.AssertsResult {
		if !a.Passed {
			t.Errorf("asserts[%d], %s:\n%s", a.Index, a.AssertType, strings.Join(a.FailInfo, "\n"))
		}
		if strings.HasPrefix(a.AssertType, "matchSnapshot") {
			t.Error("it takes a snapshot, in which nobody sees what is wanted")
		}
	}
	if !r.Passed && !t.Failed() {
		t.Error("it fails, and does not say of what")
	}
}

// Each template that makes something has one suite, of its name.
func TestEveryTemplateHasASuite(t *testing.T) {
	var want, got []string
	for _, f := range load(t).Templates {
		if base := filepath.Base(f.Name); !strings.HasPrefix(base, "_") {
			want = append(want, f.Name)
		}
	}
	for _, file := range files(t) {
		s := parse(t, file)
		got = append(got, s.Templates...)
		for _, template := range s.Templates {
			base := filepath.Base(template)
			if own := strings.TrimSuffix(base, filepath.Ext(base)) + "_test.yaml"; !strings.EqualFold(own, filepath.Base(file)) {
				t.Errorf("%s tests %s, whose suite is %s", file, template, own)
			}
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("there are suites of %v, want those of %v", got, want)
	}
}

// A package of the chart is for who installs it.
func TestSuitesAreNotPartOfThePackage(t *testing.T) {
	for _, f := range load(t).Raw {
		if strings.HasPrefix(f.Name, "tests/") {
			t.Errorf("%s is packed", f.Name)
		}
	}
}

// A value that changes nothing is a lie, and so is a test that would pass
// without it: of the tests that set a value, one fails when it is left out.
func TestEveryValueHasATestThatFailsWithoutIt(t *testing.T) {
	c := load(t)
	known := leaves(t, c.Schema)
	c.Schema = nil // TestSuitesPass holds the values against it, which takes longest
	set, proved := map[string]string{}, map[string]bool{}
	for _, file := range files(t) {
		for i, test := range parse(t, file).Tests {
			given := map[string]any{}
			flatten("", test.Set, known, given)
			for _, path := range slices.Sorted(maps.Keys(given)) {
				set[path] = filepath.Base(file) + ": " + test.Name
				proved[path] = proved[path] || failsWithout(t, c, file, i, given, path)
			}
		}
	}
	for _, path := range slices.Sorted(maps.Keys(known)) {
		switch {
		case set[path] == "":
			t.Errorf("no test sets %s", path)
		case !proved[path]:
			t.Errorf("no test fails without %s; the last that sets it is %q", path, set[path])
		}
	}
}

// failsWithout says whether a suite's test fails with all that it sets but one
// value.
func failsWithout(t *testing.T, c *chart.Chart, file string, test int, given map[string]any, path string) bool {
	t.Helper()
	s := parse(t, file)
	s.Tests = s.Tests[test : test+1]
	s.Tests[0].Set = maps.Clone(given)
	delete(s.Tests[0].Set, path)
	return !run(s, c)[0].Passed
}

// leaves are the paths of all values: keys whose own keys are not the chart's.
func leaves(t *testing.T, schema []byte) map[string]bool {
	t.Helper()
	type node struct {
		Properties map[string]node `json:"properties"`
	}
	var top node
	if err := json.Unmarshal(schema, &top); err != nil {
		t.Fatal(err)
	}
	delete(top.Properties, "global") // of charts that this one is part of
	all := map[string]bool{}
	var walk func(at string, n node)
	walk = func(at string, n node) {
		if len(n.Properties) == 0 {
			all[at] = true
		}
		for key, child := range n.Properties {
			walk(join(at, key), child)
		}
	}
	walk("", top)
	if len(all) < 100 {
		t.Fatalf("only %d values found: this test no longer knows the schema", len(all))
	}
	return all
}

// flatten puts what a test sets under the paths of leaves.
func flatten(at string, v any, known map[string]bool, out map[string]any) {
	inner, isMap := v.(map[string]any)
	if known[at] || !isMap {
		out[at] = v
		return
	}
	for key, child := range inner {
		flatten(join(at, key), child, known, out)
	}
}

func join(at, key string) string {
	if at == "" {
		return key
	}
	return at + "." + key
}
