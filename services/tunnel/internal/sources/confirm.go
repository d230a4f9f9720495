package sources

import (
	"fmt"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/syncspec"
	"github.com/towline/towline/services/tunnel/internal/gitobject"
)

// Confirm says whether files chosen for an entry are exactly those that a
// commit's tree has for it: none changed, none added, none left out.
func Confirm(m agentconfig.Manifests, files []syncspec.File, tree []gitobject.File, commit gitobject.ID) error {
	left := make(map[string]gitobject.ID, len(files))
	for _, f := range files {
		left[f.Path] = gitobject.OfFile(f.Content, commit)
	}
	for _, f := range tree {
		chosen, err := syncspec.Chosen(m, f.Path)
		if err != nil {
			return err
		}
		if !chosen || !f.Regular {
			continue // an archive with a link that is chosen has been refused
		}
		got, there := left[f.Path]
		switch {
		case !there:
			return fmt.Errorf("%s is in the commit, and not in the archive that GitLab makes of it; export-ignore in .gitattributes has no place there", f.Path)
		case got != f.ID:
			return fmt.Errorf("%s in the archive is not the file of the commit; files in Git LFS, and export-subst in .gitattributes, have no place there", f.Path)
		}
		delete(left, f.Path)
	}
	for path := range left {
		return fmt.Errorf("%s is in the archive that GitLab makes of the commit, and not in the commit", path)
	}
	return nil
}
