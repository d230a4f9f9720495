package git

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// listing is the flags of git ls-files.
type listing struct {
	modified, deleted, others, zero, stage, mustExist bool
}

func (c *command) lsFiles(_ context.Context, args []string) error {
	var l listing
	operands, paths, err := c.flags("ls-files", args, func(f *pflag.FlagSet) {
		f.BoolVarP(&l.modified, "modified", "m", false, "")
		f.BoolVarP(&l.deleted, "deleted", "d", false, "")
		f.BoolVarP(&l.others, "others", "o", false, "")
		f.BoolVarP(&l.zero, "null", "z", false, "")
		f.BoolVarP(&l.stage, "stage", "s", false, "")
		f.BoolVar(&l.mustExist, "error-unmatch", false, "")
		f.Bool("exclude-standard", false, "") // always
		f.BoolP("cached", "c", false, "")     // what is listed without options
	})
	if err != nil {
		return err
	}
	wanted := append(operands, paths...)
	if len(wanted) == 0 && c.inv.Dir != c.root {
		wanted = []string{"."}
	}
	spec, err := c.pathspec(wanted)
	if err != nil {
		return err
	}
	index, err := c.indexSide()
	if err != nil {
		return err
	}
	names, err := l.names(c, index)
	if err != nil {
		return err
	}
	names = slices.DeleteFunc(names, func(name string) bool { return !spec.has(name) })
	end := "\n"
	if l.zero {
		end = "\x00"
	}
	for _, name := range names {
		if l.stage {
			fmt.Fprintf(c.inv.Stdout, "%06o %s 0\t", uint32(index[name].mode), index[name].hash)
		}
		fmt.Fprint(c.inv.Stdout, c.fromHere(name)+end)
	}
	if l.mustExist && len(names) == 0 {
		return exit{1, fmt.Sprintf("error: pathspec '%s' did not match any file(s) known to git", strings.Join(operands, " "))}
	}
	return nil
}

// names are the files of the kind that is asked for.
func (l *listing) names(c *command, index map[string]entry) ([]string, error) {
	switch {
	case l.others:
		return c.untracked(index, true)
	case !l.modified && !l.deleted:
		return slices.Sorted(maps.Keys(index)), nil
	}
	disk, err := c.diskSide(index)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, ch := range compare(index, disk, nil) {
		if l.modified || ch.status == 'D' {
			out = append(out, ch.path)
		}
	}
	return out, nil
}
