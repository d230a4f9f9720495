package sources

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

// Newest is the tag with the highest version inside a range. A version is
// MAJOR.MINOR.PATCH, with or without a v before it; other tags count for
// nothing. Versions before a release (1.2.0-rc.1) are inside if the range names
// one. An error says that there is none.
func Newest(versions string, tags []gitlab.Tag) (gitlab.Tag, error) {
	inside, err := semver.NewConstraint(versions)
	if err != nil {
		return gitlab.Tag{}, fmt.Errorf("%q is not a range of versions: %w", versions, err)
	}
	type candidate struct {
		gitlab.Tag
		version *semver.Version
	}
	var found []candidate
	for _, t := range tags {
		v, err := semver.StrictNewVersion(strings.TrimPrefix(t.Name, "v"))
		if err == nil && inside.Check(v) {
			found = append(found, candidate{t, v})
		}
	}
	if len(found) == 0 {
		return gitlab.Tag{}, fmt.Errorf("none of its %d tags is a version in %s", len(tags), versions)
	}
	return slices.MaxFunc(found, func(a, b candidate) int {
		return cmp.Or(a.version.Compare(b.version), strings.Compare(a.Name, b.Name))
	}).Tag, nil
}
