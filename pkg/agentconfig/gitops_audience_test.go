package agentconfig

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWhoHearsOfAnEntry(t *testing.T) {
	g, err := readOwn(t, "gitops: {manifest_projects: [{id: a/b, jobs: [/acme/deploy/, acme/tools], environment: production/eu west}]}")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"acme/deploy", "acme/tools"}, g.Manifests[0].Jobs); diff != "" || g.Manifests[0].Environment != "production/eu west" {
		t.Errorf("%s%q", diff, g.Manifests[0].Environment)
	}
	g, err = readOwn(t, "gitops: {charts: [{release_name: a, source: {project: {id: a/b}}, jobs: [acme/deploy], environment: production}]}")
	if err != nil || len(g.Manifests[0].Jobs) != 1 || g.Manifests[0].Environment != "production" {
		t.Errorf("%+v, %v", g, err)
	}
	for in, want := range map[string]string{
		"environment: /production":                 "not a name for an environment",
		"environment: production/":                 "not a name for an environment",
		"environment: 'a;b'":                       "not a name for an environment",
		"environment: " + strings.Repeat("x", 256): "not a name for an environment",
		"environment: ''":                          "gitops.manifest_projects[0].environment",
		"jobs: [1]":                                "gitops.manifest_projects[0].jobs[0]",
		"jobs: [a/b, a/b]":                         "gitops.manifest_projects[0].jobs[1]",
	} {
		_, err := readOwn(t, "gitops: {manifest_projects: [{id: a/b, "+in+"}]}")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", in, err)
		}
	}
}
