package git

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/spf13/pflag"
)

// tags are the tags by the commit they lead to, sorted by name.
func (c *command) tags() (map[plumbing.Hash][]tagged, error) {
	out := map[plumbing.Hash][]tagged{}
	refs, err := c.repo.Tags()
	if err != nil {
		return nil, err
	}
	err = refs.ForEach(func(r *plumbing.Reference) error {
		t := tagged{name: r.Name().Short()}
		if tag, err := c.repo.TagObject(r.Hash()); err == nil {
			t.annotated, t.when = true, tag.Tagger.When.Unix()
		}
		if commit, err := c.commitOf(r.Hash()); err == nil {
			out[commit.Hash] = append(out[commit.Hash], t)
		}
		return nil
	})
	for _, list := range out {
		slices.SortFunc(list, func(a, b tagged) int {
			if a.annotated != b.annotated {
				if a.annotated {
					return -1
				}
				return 1
			}
			if a.when != b.when {
				return int(b.when - a.when)
			}
			return strings.Compare(a.name, b.name)
		})
	}
	return out, err
}

type tagged struct {
	name      string
	annotated bool
	when      int64
}

// description is the flags of git describe.
type description struct {
	tags, always, exact, long bool
	abbrev                    int
	dirty, match              string
}

func (c *command) describe(_ context.Context, args []string) error {
	var d description
	operands, _, err := c.flags("describe", args, func(f *pflag.FlagSet) {
		f.BoolVar(&d.tags, "tags", false, "")
		f.BoolVar(&d.always, "always", false, "")
		f.BoolVar(&d.exact, "exact-match", false, "")
		f.BoolVar(&d.long, "long", false, "")
		f.IntVar(&d.abbrev, "abbrev", defaultAbbrev, "")
		f.StringVar(&d.dirty, "dirty", "", "")
		f.Lookup("dirty").NoOptDefVal = "-dirty"
		f.StringVar(&d.match, "match", "*", "")
	})
	if err != nil {
		return err
	}
	if d.abbrev < 0 || d.abbrev > len(plumbing.ZeroHash)*2 {
		return fatal("--abbrev=%d is not a length of a hash", d.abbrev)
	}
	name := orHead(first(operands))
	commit, err := c.commitAt(name)
	if err != nil {
		return fatal("Not a valid object name %s", name)
	}
	text, err := d.nearest(c, commit)
	switch {
	case err != nil:
		return err
	case text == "" && d.exact:
		return fatal("no tag exactly matches '%s'", commit.Hash)
	case text == "" && !d.always:
		return fatal("No names found, cannot describe anything.")
	case text == "":
		text = commit.Hash.String()[:max(d.abbrev, 4)]
	}
	if d.dirty != "" {
		modified, err := c.modified()
		if err != nil {
			return err
		}
		if modified {
			text += d.dirty
		}
	}
	fmt.Fprintln(c.inv.Stdout, text)
	return nil
}

// nearest is the closest tag that leads to the commit, with the distance; ""
// when there is none.
func (d *description) nearest(c *command, commit *object.Commit) (string, error) {
	byCommit, err := c.tags()
	if err != nil {
		return "", err
	}
	from := []*object.Commit{commit}
	for _, at := range c.history(from, nil, false) {
		i := slices.IndexFunc(byCommit[at.Hash], func(t tagged) bool {
			ok, err := filepath.Match(d.match, t.name)
			return err == nil && ok && (d.tags || t.annotated)
		})
		if i < 0 && !d.exact {
			continue
		}
		if i < 0 {
			return "", nil
		}
		name, depth := byCommit[at.Hash][i].name, len(c.history(from, []*object.Commit{at}, false))
		if (depth > 0 || d.long) && d.abbrev > 0 {
			name = fmt.Sprintf("%s-%d-g%s", name, depth, commit.Hash.String()[:d.abbrev])
		}
		return name, nil
	}
	return "", nil
}

// modified says whether known files differ from those of HEAD.
func (c *command) modified() (bool, error) {
	index, err := c.indexSide()
	if err != nil {
		return false, err
	}
	disk, err := c.diskSide(index)
	if err != nil {
		return false, err
	}
	head, err := c.commitAt("HEAD")
	if err != nil {
		return false, err
	}
	return len(compare(c.treeSide(head), disk, nil)) > 0, nil
}
