package chart

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

var metricName = regexp.MustCompile(`\b(?:towline|go|process)_[a-z_]+\b`)

// registered are the names that the services' sources register, with what
// Prometheus makes of a histogram.
func registered(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, dir := range []string{"services", "pkg"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, _ os.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			source, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, m := range regexp.MustCompile(`(?:Name: |NewDesc\()"(towline_[a-z_]+)"`).FindAllStringSubmatch(string(source), -1) {
				names = append(names, m[1], m[1]+"_count", m[1]+"_sum", m[1]+"_bucket")
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(names) < 4*6 {
		t.Fatalf("only %d metrics found: this test no longer knows how they are registered", len(names)/4)
	}
	return append(names, "process_resident_memory_bytes") // the process's own collector
}

// Every metric that an alert or a panel asks for is one that exists.
func TestAlertsAndPanelsAskForMetricsThatExist(t *testing.T) {
	known := registered(t)
	r := render(t, combinations["monitored"])
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(find[corev1.ConfigMap](t, r, "ConfigMap/towline-dashboard").Data["towline.json"]), &dashboard); err != nil {
		t.Fatal(err)
	}
	asked := map[string]string{}
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			asked["panel "+p.Title] += " " + target.Expr
		}
	}
	for _, o := range r.objects {
		if o.GetKind() != "PrometheusRule" {
			continue
		}
		groups, _, _ := unstructured.NestedSlice(o.Object, "spec", "groups")
		for _, rule := range groups[0].(map[string]any)["rules"].([]any) {
			rule := rule.(map[string]any)
			asked["alert "+rule["alert"].(string)] = rule["expr"].(string)
		}
	}
	if len(asked) < 12 {
		t.Errorf("only %d panels and alerts", len(asked))
	}
	for who, expr := range asked {
		names := metricName.FindAllString(expr, -1)
		if len(names) == 0 || strings.Count(expr, "(") != strings.Count(expr, ")") || strings.Count(expr, "{") != strings.Count(expr, "}") {
			t.Errorf("%s: %s", who, expr)
		}
		for _, name := range names {
			if !slices.Contains(known, name) {
				t.Errorf("%s asks for %s, which nobody registers", who, name)
			}
		}
	}
}

// The images of a release are listed where mirrors look for them.
func TestImagesAreListed(t *testing.T) {
	eachCombination(t, func(t *testing.T, r rendered) {
		listed := strings.Split(deployment(t, r, "tunnel").Annotations["towline/images"], ",")
		for component, p := range pods(t, r) {
			if image := p.Spec.Containers[0].Image; !slices.Contains(listed, image) {
				t.Errorf("%s of %s is not among %v", image, component, listed)
			}
		}
	})
}

// What the self-check is told is what the runner and its own options know.
func TestSelfCheckIsToldWhatTheRunnerIs(t *testing.T) {
	known := settings(t, selfCheck)
	eachCombination(t, func(t *testing.T, r rendered) {
		p, ok := pods(t, r)[selfCheck]
		if !ok {
			return
		}
		c := p.Spec.Containers[0]
		if c.Args[0] != selfCheck || p.Spec.ServiceAccountName != "towline-runner" {
			t.Errorf("it runs %s as %s", c.Args[0], p.Spec.ServiceAccountName)
		}
		runner := deployment(t, r, "runner").Spec.Template.Spec.Containers[0]
		for _, arg := range c.Args[1:] {
			name, value, _ := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
			checkValue(t, selfCheck, arg, known[name], value)
			shared := slices.Contains([]string{"policy-url", "egress-address", "ca-file", "egress-tls"}, name) || strings.HasPrefix(name, "redis-")
			if shared && !slices.Contains(runner.Args, arg) {
				t.Errorf("%s, and the runner has %v", arg, runner.Args)
			}
		}
		text, _ := yaml.Marshal(c.Env)
		for _, e := range runner.Env {
			if e.Name == "TOWLINE_REDIS_URL" && !strings.Contains(string(text), e.Name) {
				t.Error("it does not know where Redis is")
			}
		}
	})
}
