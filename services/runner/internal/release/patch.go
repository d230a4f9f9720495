package release

import (
	"bytes"
	"fmt"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/kustomize/kyaml/resid"
	"sigs.k8s.io/yaml"
)

// patch lets kustomize apply the patches, in memory.
func (p postRenderer) patch(manifests *bytes.Buffer) (*bytes.Buffer, error) {
	const rendered = "rendered.yaml"
	k := types.Kustomization{
		TypeMeta:  types.TypeMeta{APIVersion: types.KustomizationVersion, Kind: types.KustomizationKind},
		Resources: []string{rendered},
	}
	for _, patch := range p.patches {
		k.Patches = append(k.Patches, patch.kustomize())
	}
	text, err := yaml.Marshal(k)
	if err != nil {
		return nil, err
	}
	disk := filesys.MakeFsInMemory()
	if err := disk.WriteFile("kustomization.yaml", text); err != nil {
		return nil, err
	}
	if err := disk.WriteFile(rendered, manifests.Bytes()); err != nil {
		return nil, err
	}
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(disk, ".")
	if err != nil {
		return nil, fmt.Errorf("patches: %w", err)
	}
	text, err = resources.AsYaml()
	return bytes.NewBuffer(text), err
}

func (p Patch) kustomize() types.Patch {
	patch := types.Patch{Patch: p.Patch}
	// What begins with a bracket kustomize reads as JSON, not as YAML.
	if list, err := yaml.YAMLToJSON([]byte(p.Patch)); err == nil && bytes.HasPrefix(list, []byte("[")) {
		patch.Patch = string(list)
	}
	id := resid.ResId{Gvk: resid.Gvk{Group: p.Group, Version: p.Version, Kind: p.Kind}, Name: p.Name, Namespace: p.Namespace}
	if id != (resid.ResId{}) || p.Labels != "" || p.Annotations != "" {
		patch.Target = &types.Selector{ResId: id, LabelSelector: p.Labels, AnnotationSelector: p.Annotations}
	}
	return patch
}
