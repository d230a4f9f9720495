package chart

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// What the chart says of itself where it is published is what it does.
func TestAnnotationsOfTheChart(t *testing.T) {
	meta := loaded().Metadata
	read := func(name string, into any) {
		t.Helper()
		if err := yaml.UnmarshalStrict([]byte(meta.Annotations["artifacthub.io/"+name]), into); err != nil {
			t.Fatalf("artifacthub.io/%s: %v", name, err)
		}
	}
	var images []struct {
		Name, Image string
		Platforms   []string
	}
	read("images", &images)
	var listed []string
	for _, i := range images {
		listed = append(listed, i.Image)
		if !slices.Equal(i.Platforms, []string{"linux/amd64", "linux/arm64"}) || !strings.Contains(i.Image, "/"+i.Name+":") {
			t.Errorf("%+v", i)
		}
	}
	want := strings.Split(deployment(t, render(t, combinations["minimal"]), "tunnel").Annotations["towline/images"], ",")
	if diff := cmp.Diff(want, listed); diff != "" {
		t.Errorf("artifacthub.io/images has not what the chart renders (-want +got):\n%s", diff)
	}
	var changes []struct{ Kind, Description string }
	read("changes", &changes)
	if len(changes) == 0 {
		t.Error("artifacthub.io/changes is empty")
	}
	for _, c := range changes {
		if !slices.Contains([]string{"added", "changed", "deprecated", "removed", "fixed", "security"}, c.Kind) || c.Description == "" {
			t.Errorf("%+v", c)
		}
	}
}
