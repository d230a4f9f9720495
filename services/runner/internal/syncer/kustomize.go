package syncer

import (
	"fmt"
	"path"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/towline/towline/pkg/syncspec"
	"github.com/towline/towline/services/runner/internal/apply/manifests"
)

// build has kustomize build a directory of the repository, which stays in
// memory. Files outside the directory are refused except as bases; plugins are
// off, and the process can reach no other repository.
func build(dir string, files []syncspec.File) ([]manifests.File, error) {
	fs := filesys.MakeFsInMemory()
	for _, f := range files {
		if err := fs.WriteFile("/"+f.Path, f.Content); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Path, err)
		}
	}
	at := path.Join("/", dir)
	if !fs.IsDir(at) {
		return nil, fmt.Errorf("kustomize: the repository has no directory %s", dir)
	}
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(fs, at)
	if err != nil {
		return nil, fmt.Errorf("kustomize build %s: %w", dir, err)
	}
	if built.Size() == 0 {
		// It would delete everything, and is a mistake far more often than it is meant.
		return nil, fmt.Errorf("kustomize build %s: it gives no objects; nothing was changed. To remove all the others, keep one object, such as a ConfigMap without data", dir)
	}
	text, err := built.AsYaml()
	if err != nil {
		return nil, fmt.Errorf("kustomize build %s: %w", dir, err)
	}
	return []manifests.File{{Path: "kustomize build " + dir, Content: text}}, nil
}
