package chart

import (
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write testdata/golden anew; look at the difference")

// made are the objects whose data Helm makes anew each time.
var made = regexp.MustCompile(`^(Secret/towline-(redis|seal|signing|ca|keda|tls-[a-z]+)|ConfigMap/towline-ca)$`)

// settled is a rendering without what is different each time.
func settled(t *testing.T, r rendered) string {
	t.Helper()
	var out strings.Builder
	for _, o := range r.objects {
		o = o.DeepCopy()
		if made.MatchString(id(o)) {
			for _, field := range []string{"data", "stringData"} {
				data, _, _ := unstructured.NestedMap(o.Object, field)
				for key := range data {
					if key != "url" && key != "password" { // given, not made
						data[key] = "made"
					}
				}
				if data != nil {
					o.Object[field] = data
				}
			}
		}
		for _, path := range [][]string{{"metadata", "annotations"}, {"spec", "template", "metadata", "annotations"}} {
			unstructured.RemoveNestedField(o.Object, append(path, "towline/made-at")...)
			unstructured.RemoveNestedField(o.Object, append(path, "checksum/certificate")...)
		}
		text, err := yaml.Marshal(o.Object)
		if err != nil {
			t.Fatal(err)
		}
		out.WriteString("---\n" + string(text))
	}
	return out.String()
}

// leaves are the paths of all values: keys whose own keys are not the chart's.
func leaves(t *testing.T) [][]string {
	t.Helper()
	var schema map[string]any
	if err := json.Unmarshal(loaded().Schema, &schema); err != nil {
		t.Fatal(err)
	}
	var all [][]string
	var walk func(at []string, node map[string]any)
	walk = func(at []string, node map[string]any) {
		properties, _ := node["properties"].(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(properties)) {
			path := append(slices.Clone(at), key)
			child := properties[key].(map[string]any)
			if _, inner := child["properties"]; inner {
				walk(path, child)
			} else if path[0] != "global" {
				all = append(all, path)
			}
		}
	}
	walk(nil, schema)
	return all
}

func at(values map[string]any, path []string) (any, bool) {
	v, ok := values[path[0]]
	if len(path) == 1 || !ok {
		return v, ok
	}
	inner, isMap := v.(map[string]any)
	if !isMap {
		return nil, false
	}
	return at(inner, path[1:])
}

func drop(values map[string]any, path []string) {
	if len(path) == 1 {
		delete(values, path[0])
		return
	}
	drop(values[path[0]].(map[string]any), path[1:])
}

// proved are values whose effect other tests show: a rendering without a cluster
// does not.
var proved = []string{
	"redis.mode",         // says what redis.external says anyway; a contradiction is refused (TestMissingOrWrongValues)
	"fullnameOverride",   // is the release's name in ci, by which all tests find objects; the suite of access.yaml gives another
	"tls.renewAfterDays", // looks at certificates that are there (TestCertificatesAreKeptAndRenewed)
}

// A value that changes nothing is a lie: for every one there is a combination
// that gives it, and that renders otherwise, or not at all, without it.
func TestEveryValueChangesSomething(t *testing.T) {
	defaults := loaded().Values
	before := map[string]string{}
	for name, documents := range combinations {
		r := render(t, documents)
		before[name] = settled(t, r) + r.notes
	}
	for _, path := range leaves(t) {
		given, matters := false, slices.Contains(proved, strings.Join(path, "."))
		for _, name := range slices.Sorted(maps.Keys(combinations)) {
			all := values(t, combinations[name])
			v, ok := at(all, path)
			if def, _ := at(defaults, path); !ok || reflect.DeepEqual(v, def) {
				continue
			}
			given = true
			drop(all, path)
			text, err := yaml.Marshal(all)
			if err != nil {
				t.Fatal(err)
			}
			r, err := renderFor(t, target{release: release, namespace: "towline", unchecked: true}, string(text))
			if err != nil || settled(t, r)+r.notes != before[name] {
				matters = true
				break
			}
		}
		switch {
		case !given:
			t.Errorf("no combination in ci gives %s", strings.Join(path, "."))
		case !matters:
			t.Errorf("%s changes nothing", strings.Join(path, "."))
		}
	}
}

// golden are the combinations whose whole rendering is kept, so that a change
// of it is seen in review.
var golden = []string{"minimal", "redis-sentinel", "from-gitlabs-chart"}

func TestRenderingIsTheOneThatWasReviewed(t *testing.T) {
	for _, name := range golden {
		file := filepath.Join("testdata", "golden", name+".yaml")
		got := settled(t, render(t, combinations[name]))
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
			t.Errorf("%s renders otherwise; if that is wanted: go test ./e2e/chart -run Reviewed -update\n%s", name, diff)
		}
	}
}

// What `helm lint --strict` would say. Its look at the schema is one for all:
// each combination is held against it when it is rendered.
func TestLinterHasNothingToSay(t *testing.T) {
	for name, documents := range combinations {
		l := lint.AllWithKubeVersionAndSchemaValidation(chartDir, values(t, documents), "towline", target{}.kubeVersion(), name != "minimal")
		for _, m := range l.Messages {
			if m.Severity >= support.WarningSev {
				t.Errorf("%s: %v", name, m)
			}
		}
	}
}
