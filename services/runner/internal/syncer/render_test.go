package syncer

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/syncspec"
	"github.com/towline/towline/services/runner/internal/apply/manifests"
)

func TestSubstitution(t *testing.T) {
	in := []manifests.File{{Path: "a.yaml", Content: []byte("a: ${A}\nb: \"${B:=x y}-${A}\"\nc: $${A} $A {A}\nd: ${NONE}\n")}}
	out, faults := substitute(in, map[string]string{"A": "1"})
	if diff := cmp.Diff("a: 1\nb: \"x y-1\"\nc: ${A} $A {A}\nd: ${NONE}\n", string(out[0].Content)); diff != "" {
		t.Error(diff)
	}
	want := "a.yaml:4: no value for ${NONE}; add it to substitute of the entry, give it a default with :=, or write $${NONE} for the text itself"
	if len(faults) != 1 || faults[0].Error() != want {
		t.Errorf("%v", faults)
	}
}

func TestSubstitutionBeforeABuild(t *testing.T) {
	out := prepare([]syncspec.File{{Path: "a.yaml", Content: []byte("a: '${A}' ${NONE} $${A}")}, {Path: "run.sh", Content: []byte("echo ${A}")}}, map[string]string{"A": "1"})
	if got := string(out[0].Content) + "\n" + string(out[1].Content); got != "a: '1' ${NONE} $${A}\necho ${A}" {
		t.Error(got)
	}
}

func TestValuesOfMoreThanALineAreRefused(t *testing.T) {
	_, err := substitutes(t.Context(), nil, agentconfig.Manifests{Substitute: map[string]string{"A": "x\nkind: Secret"}}, nil, &syncspec.Report{})
	if err == nil || !strings.Contains(err.Error(), "the value of A has more than one line") {
		t.Error(err)
	}
}

func TestKustomize(t *testing.T) {
	files := []syncspec.File{
		{Path: "base/kustomization.yaml", Content: []byte("resources: [a.yaml]\n")},
		{Path: "base/a.yaml", Content: []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")},
		{Path: "prod/kustomization.yaml", Content: []byte("resources: [../base]\nnamePrefix: prod-\n")},
	}
	out, err := render(agentconfig.Manifests{Kustomize: "prod"}, files)
	if err != nil || !strings.Contains(string(out[0].Content), "name: prod-a") || out[0].Path != "kustomize build prod" {
		t.Errorf("%v, %v", out, err)
	}
	for dir, content := range map[string]string{
		"none": "", "outside": "resources: [/etc/passwd]\n", "above": "resources: [../../../etc/passwd]\n", "remote": "resources: [\"https://127.0.0.1:1/a.yaml\"]\n",
		"empty":  "namespace: shop\nresources:\n", // what is left when somebody empties it
		"plugin": "generators: [gen.yaml]\n",
	} {
		more := append(files[:len(files):len(files)], syncspec.File{Path: dir + "/gen.yaml", Content: []byte("apiVersion: x/v1\nkind: Exec\nmetadata: {name: a, annotations: {config.kubernetes.io/function: \"exec: {path: /bin/true}\"}}\n")})
		if content != "" {
			more = append(more, syncspec.File{Path: dir + "/kustomization.yaml", Content: []byte(content)})
		}
		if out, err := render(agentconfig.Manifests{Kustomize: dir}, more); err == nil || !strings.HasPrefix(err.Error(), "kustomize build "+dir+": ") {
			t.Errorf("%s: %v, %v", dir, out, err)
		}
	}
}
