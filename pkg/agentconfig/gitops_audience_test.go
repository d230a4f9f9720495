package agentconfig

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWhoHearsOfAnEntry(t *testing.T) {
	g, err := readOwn(t, "gitops: {manifest_projects: [{id: a/b, jobs: [/acme/deploy/, acme/tools]}]}")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"acme/deploy", "acme/tools"}, g.Manifests[0].Jobs); diff != "" {
		t.Error(diff)
	}
	for in, want := range map[string]string{
		"jobs: [1]":        "gitops.manifest_projects[0].jobs[0]",
		"jobs: [a/b, a/b]": "gitops.manifest_projects[0].jobs[1]",
	} {
		_, err := readOwn(t, "gitops: {manifest_projects: [{id: a/b, "+in+"}]}")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", in, err)
		}
	}
}
