package helm

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"helm.sh/helm/v3/pkg/release"
)

// manifestStart begins each template's part of a release's manifest.
var manifestStart = regexp.MustCompile(`(?m)^---\n# Source: (.+)\n`)

// writeTemplates writes each template of a release and each hook to its own
// file below dir, CRDs below crdDir, as the library does, which writes to the
// process's standard output in doing so.
func (c *command) writeTemplates(dir, crdDir string, rel *release.Release, hooks []*release.Hook) error {
	begun := map[string]bool{}
	crds := map[string]bool{}
	for _, crd := range rel.Chart.CRDObjects() {
		crds[crd.Filename] = true
	}
	manifest := rel.Manifest
	starts := manifestStart.FindAllStringSubmatchIndex(manifest, -1)
	for n, at := range starts {
		end := len(manifest)
		if n+1 < len(starts) {
			end = starts[n+1][0]
		}
		name, body, parent := manifest[at[2]:at[3]], strings.TrimSuffix(manifest[at[1]:end], "\n"), dir
		if crds[name] {
			parent = crdDir
		}
		if err := c.writeTemplate(parent, name, body, begun); err != nil {
			return err
		}
	}
	for _, h := range hooks {
		if err := c.writeTemplate(dir, h.Path, h.Manifest, begun); err != nil {
			return err
		}
	}
	fmt.Fprintln(c.out) // the manifest, of which nothing is left
	return nil
}

// writeTemplate creates a file, or appends to one that this command began.
func (c *command) writeTemplate(dir, name, body string, begun map[string]bool) error {
	file := dir + string(filepath.Separator) + name
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil { //nolint:gosec // as helm; the umask has the last word
		return err
	}
	mode := os.O_CREATE | os.O_WRONLY | os.O_TRUNC
	if begun[name] {
		mode = os.O_WRONLY | os.O_APPEND
	}
	begun[name] = true
	f, err := os.OpenFile(file, mode, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "---\n# Source: %s\n%s\n", name, body)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		fmt.Fprintf(c.out, "wrote %s\n", file)
	}
	return err
}
