package release

import (
	"bytes"
	"fmt"
)

// maxManifest bounds what a chart renders to.
const maxManifest = 16 << 20

// postRenderer bounds and patches what a chart has rendered.
type postRenderer struct{ patches []Patch }

// Run implements postrender.PostRenderer.
func (p postRenderer) Run(manifests *bytes.Buffer) (*bytes.Buffer, error) {
	if manifests.Len() > maxManifest {
		return nil, fmt.Errorf("%w: the chart renders to more than %d MiB", ErrLimit, maxManifest>>20)
	}
	if len(p.patches) == 0 {
		return manifests, nil
	}
	return p.patch(manifests)
}
