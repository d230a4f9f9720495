package syncspec

import (
	"testing"

	"github.com/towline/towline/pkg/agentconfig"
)

func TestWhichFilesBelongToAnEntry(t *testing.T) {
	plain := agentconfig.Manifests{Globs: []string{"k8s/**/*.yaml", "top.yaml"}}
	chart := agentconfig.Manifests{Chart: &agentconfig.Chart{Path: "charts/a", Values: []agentconfig.ChartValues{{File: "v.yaml"}}}}
	for _, tt := range []struct {
		m    agentconfig.Manifests
		file string
		want bool
	}{
		{plain, "k8s/a.yaml", true},
		{plain, "k8s/b/a.yaml", true},
		{plain, "k8s/.hidden/a.yaml", false},
		{plain, "top.yaml", true},
		{plain, "a.yaml", false},
		{agentconfig.Manifests{Kustomize: "k"}, "anything", true},
		{agentconfig.Manifests{Kustomize: "k"}, ".git/config", false},
		{agentconfig.Manifests{Kustomize: "k", Globs: []string{"k/**", "base/**", "**/*.env"}}, "base/.hidden/a.env", true},
		{agentconfig.Manifests{Kustomize: "k", Globs: []string{"k/**", "base/**"}}, "src/main.go", false},
		{chart, "charts/a/Chart.yaml", true},
		{chart, "v.yaml", true},
		{chart, "charts/ab/x", false},
	} {
		if got, err := Chosen(tt.m, tt.file); got != tt.want || err != nil {
			t.Errorf("%s: %t, %v", tt.file, got, err)
		}
	}
	twice := agentconfig.Manifests{Globs: []string{"*.yaml", "a*"}}
	if _, err := Chosen(twice, "a.yaml"); err == nil {
		t.Error("a file of two globs is no mistake")
	}
}
