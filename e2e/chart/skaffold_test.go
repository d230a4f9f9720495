package chart

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// skaffold is the part of skaffold.yaml that the project uses; anything else in
// the file is a mistake or needs a look here.
type skaffold struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Metadata   map[string]string `json:"metadata"`
	Build      struct {
		Local struct {
			UseBuildkit bool `json:"useBuildkit"`
		} `json:"local"`
		Artifacts []struct {
			Image   string `json:"image"`
			Context string `json:"context"`
			Docker  struct {
				Dockerfile string `json:"dockerfile"`
			} `json:"docker"`
		} `json:"artifacts"`
	} `json:"build"`
	Deploy struct {
		Helm struct {
			Releases []struct {
				Name              string            `json:"name"`
				Namespace         string            `json:"namespace"`
				CreateNamespace   bool              `json:"createNamespace"`
				ChartPath         string            `json:"chartPath"`
				SetValues         map[string]any    `json:"setValues"`
				SetValueTemplates map[string]string `json:"setValueTemplates"`
			} `json:"releases"`
		} `json:"helm"`
	} `json:"deploy"`
	Profiles []struct {
		Name    string `json:"name"`
		Patches []struct {
			Op    string `json:"op"`
			Path  string `json:"path"`
			Value any    `json:"value"`
		} `json:"patches"`
	} `json:"profiles"`
}

func readSkaffold(t *testing.T) skaffold {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, "skaffold.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var s skaffold
	if err := yaml.UnmarshalStrict(raw, &s); err != nil {
		t.Fatal(err)
	}
	if s.APIVersion != "skaffold/v4beta13" || s.Kind != "Config" {
		t.Errorf("it is a %s of %s", s.Kind, s.APIVersion)
	}
	return s
}

func TestSkaffoldBuildsTheServices(t *testing.T) {
	s := readSkaffold(t)
	var built []string
	for _, a := range s.Build.Artifacts {
		service := strings.TrimPrefix(a.Image, "towline/")
		built = append(built, service)
		if want := "services/" + service + "/Dockerfile"; a.Docker.Dockerfile != want {
			t.Errorf("%s is built from %s, want %s", a.Image, a.Docker.Dockerfile, want)
		}
		if _, err := os.Stat(filepath.Join(root, a.Context, a.Docker.Dockerfile)); err != nil {
			t.Error(err)
		}
	}
	if !slices.Equal(built, services) {
		t.Errorf("images are built of %v, want %v", built, services)
	}
}

// What skaffold would set are values that the chart takes.
func TestSkaffoldDeploysTheChart(t *testing.T) {
	s := readSkaffold(t)
	if len(s.Deploy.Helm.Releases) != 1 {
		t.Fatalf("%d releases", len(s.Deploy.Helm.Releases))
	}
	r := s.Deploy.Helm.Releases[0]
	if _, err := os.Stat(filepath.Join(root, r.ChartPath, "Chart.yaml")); err != nil {
		t.Error(err)
	}
	set := map[string]any{}
	for path, v := range r.SetValues {
		put(set, path, v)
	}
	stands := map[string]string{
		"{{.TOWLINE_GITLAB_URL}}": "https://gitlab.example.com", "{{.TOWLINE_AGENT}}": "group/project:agent",
		"{{.IMAGE_FULLY_QUALIFIED_towline_tunnel}}": "r/tunnel:v1", "{{.IMAGE_FULLY_QUALIFIED_towline_policy}}": "r/policy:v1",
		"{{.IMAGE_FULLY_QUALIFIED_towline_runner}}": "r/runner:v1",
	}
	for path, v := range r.SetValueTemplates {
		if stands[v] == "" {
			t.Errorf("%s: %s: nobody says what that is", path, v)
		}
		put(set, path, stands[v])
	}
	for _, p := range s.Profiles {
		for _, patch := range p.Patches {
			path, ok := strings.CutPrefix(patch.Path, "/deploy/helm/releases/0/setValues/")
			if patch.Op != "add" || !ok {
				t.Errorf("profile %s: %s %s", p.Name, patch.Op, patch.Path)
			}
			put(set, path, patch.Value)
		}
	}
	documents, err := yaml.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	rendered := render(t, string(documents))
	for _, service := range services {
		c := deployment(t, rendered, service).Spec.Template.Spec.Containers[0]
		if want := "r/" + service + ":v1"; c.Image != want {
			t.Errorf("%s runs %s, want %s", service, c.Image, want)
		}
		if !slices.Contains(c.Args, "--log-level=debug") {
			t.Errorf("the profile debug does not reach %s: %v", service, c.Args)
		}
	}
}

// put sets a value as helm --set would, for paths without lists.
func put(values map[string]any, path string, v any) {
	first, rest, more := strings.Cut(path, ".")
	if !more {
		values[first] = v
		return
	}
	inner, ok := values[first].(map[string]any)
	if !ok {
		inner = map[string]any{}
		values[first] = inner
	}
	put(inner, rest, v)
}
