package settings

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

func fromMap(env map[string]string) *Settings {
	return FromEnvironment(func(name string) (string, bool) {
		value, ok := env[name]
		return value, ok
	})
}

func TestFilesComeFromTheEnvironment(t *testing.T) {
	for _, c := range []struct {
		name                              string
		env                               map[string]string
		registry, repositories, cache, in string
	}{
		{
			name: "home alone", env: map[string]string{"HOME": "/h"}, in: "/h/.local/share/helm/starters",
			registry: "/h/.config/helm/registry/config.json", repositories: "/h/.config/helm/repositories.yaml", cache: "/h/.cache/helm/repository",
		},
		{
			name: "desktop standard", env: map[string]string{"HOME": "/h", "XDG_CONFIG_HOME": "/x", "XDG_CACHE_HOME": "/y", "XDG_DATA_HOME": "/z"},
			registry: "/x/helm/registry/config.json", repositories: "/x/helm/repositories.yaml", cache: "/y/helm/repository", in: "/z/helm/starters",
		},
		{
			name: "helm's own win", env: map[string]string{"XDG_CONFIG_HOME": "/x", "HELM_CONFIG_HOME": "/c", "HELM_CACHE_HOME": "/d", "HELM_DATA_HOME": "/e"},
			registry: "/c/registry/config.json", repositories: "/c/repositories.yaml", cache: "/d/repository", in: "/e/starters",
		},
		{
			name: "single files", env: map[string]string{"HELM_REGISTRY_CONFIG": "r.json", "HELM_REPOSITORY_CONFIG": "", "HELM_REPOSITORY_CACHE": "k", "HELM_DATA_HOME": "/e"},
			registry: "r.json", repositories: "", cache: "k", in: "/e/starters",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := fromMap(c.env)
			got := []string{s.RegistryConfig, s.RepositoryConfig, s.RepositoryCache, s.Starters()}
			if diff := cmp.Diff([]string{c.registry, c.repositories, c.cache, c.in}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFlagsWinOverTheEnvironment(t *testing.T) {
	s := fromMap(map[string]string{
		"HELM_NAMESPACE": "a", "HELM_KUBECONTEXT": "b", "HELM_KUBEASGROUPS": "c,d", "HELM_DEBUG": "yes please", "HELM_MAX_HISTORY": "3", "HELM_QPS": "2.5",
	})
	fs := pflag.NewFlagSet("helm", pflag.ContinueOnError)
	s.AddFlags(fs)
	if err := fs.Parse([]string{"-n", "z", "--burst-limit", "7"}); err != nil {
		t.Fatal(err)
	}
	got := s.Variables("helm", s.Namespace)
	for name, want := range map[string]string{
		"HELM_NAMESPACE": "z", "HELM_KUBECONTEXT": "b", "HELM_KUBEASGROUPS": "c,d", "HELM_DEBUG": "false",
		"HELM_MAX_HISTORY": "3", "HELM_QPS": "2.50", "HELM_BURST_LIMIT": "7",
	} {
		if got[name] != want {
			t.Errorf("%s = %q, want %q", name, got[name], want)
		}
	}
}
