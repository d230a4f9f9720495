package git

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/gitignore"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/spf13/pflag"
)

func (c *command) status(_ context.Context, args []string) error {
	var shortForm, branch, ignored bool
	var porcelain, untracked string
	args = slices.Clone(args)
	for i, arg := range args { // -uno and -uall are one option with its value
		if value, ok := strings.CutPrefix(arg, "-u"); ok && value != "" {
			args[i] = "--untracked-files=" + value
		}
	}
	_, paths, err := c.flags("status", args, func(f *pflag.FlagSet) {
		f.BoolVarP(&shortForm, "short", "s", false, "")
		f.BoolVarP(&branch, "branch", "b", false, "")
		f.BoolVar(&ignored, "no-renames", false, "")
		f.StringVar(&porcelain, "porcelain", "", "")
		f.Lookup("porcelain").NoOptDefVal = "v1"
		f.StringVarP(&untracked, "untracked-files", "u", "normal", "")
		f.Lookup("untracked-files").NoOptDefVal = "all"
	})
	if err != nil {
		return err
	}
	if porcelain != "" && porcelain != "v1" && porcelain != "1" {
		return fatal("unsupported porcelain version '%s': v1 is there", porcelain)
	}
	spec, err := c.pathspec(paths)
	if err != nil {
		return err
	}
	lines, err := c.changed(spec, untracked)
	if err != nil {
		return err
	}
	if porcelain == "" && !shortForm {
		return c.longStatus(lines)
	}
	if branch {
		fmt.Fprintf(c.inv.Stdout, "## %s\n", c.where())
	}
	for _, line := range lines {
		fmt.Fprintln(c.inv.Stdout, line)
	}
	return nil
}

func (c *command) where() string {
	head, err := c.repo.Reference(plumbing.HEAD, false)
	if err != nil || head.Type() == plumbing.HashReference {
		return "HEAD (no branch)"
	}
	return head.Target().Short()
}

// changed lists the work tree as `status --porcelain` does.
func (c *command) changed(spec pathspec, untracked string) ([]string, error) {
	index, err := c.indexSide()
	if err != nil {
		return nil, err
	}
	disk, err := c.diskSide(index)
	if err != nil {
		return nil, err
	}
	head := map[string]entry{}
	if commit, err := c.commitAt("HEAD"); err == nil {
		head = c.treeSide(commit)
	}
	codes := map[string][2]byte{}
	names := map[string]string{}
	for _, ch := range compare(head, index, spec) {
		codes[ch.path] = [2]byte{ch.status, ' '}
		if ch.from != "" {
			names[ch.path] = ch.from + " -> " + ch.path
		}
	}
	for _, ch := range compare(index, disk, spec) {
		code := codes[ch.path]
		if code[0] == 0 {
			code[0] = ' '
		}
		code[1] = ch.status
		codes[ch.path] = code
	}
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(codes)) {
		code, text := codes[name], name
		if names[name] != "" {
			text = names[name]
		}
		lines = append(lines, string(code[:])+" "+text)
	}
	if untracked != "no" {
		found, err := c.untracked(index, untracked == "all")
		if err != nil {
			return nil, err
		}
		for _, name := range found {
			if spec.has(strings.TrimSuffix(name, "/")) {
				lines = append(lines, "?? "+name)
			}
		}
	}
	return lines, nil
}

// untracked lists files that the index does not know and .gitignore does not
// hide. A directory without known files is one line, unless all are asked for.
func (c *command) untracked(index map[string]entry, all bool) ([]string, error) {
	tree, err := c.repo.Worktree()
	if err != nil {
		return nil, err
	}
	patterns, err := gitignore.ReadPatterns(tree.Filesystem, nil)
	if err != nil {
		return nil, err
	}
	hidden := gitignore.NewMatcher(append(patterns, tree.Excludes...))
	folders := map[string]bool{".": true}
	for name := range index {
		for dir := path.Dir(name); !folders[dir]; dir = path.Dir(dir) {
			folders[dir] = true
		}
	}
	found := map[string]bool{}
	err = filepath.WalkDir(c.root, func(at string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(c.root, at)
		if err != nil || rel == "." {
			return err
		}
		rel = filepath.ToSlash(rel)
		switch _, known := index[rel]; {
		case rel == ".git" || e.IsDir() && hidden.Match(strings.Split(rel, "/"), true):
			return fs.SkipDir
		case e.IsDir() || known || hidden.Match(strings.Split(rel, "/"), false):
			return nil
		}
		if !all {
			rel = outermost(rel, folders)
		}
		found[rel] = true
		return nil
	})
	return slices.Sorted(maps.Keys(found)), err
}

// outermost is the highest directory of a file that holds nothing known, or the
// file itself.
func outermost(file string, known map[string]bool) string {
	name := file
	for dir := path.Dir(file); dir != "."; dir = path.Dir(dir) {
		if !known[dir] {
			name = dir + "/"
		}
	}
	return name
}

func (c *command) longStatus(lines []string) error {
	out := c.inv.Stdout
	if head, err := c.repo.Reference(plumbing.HEAD, false); err == nil && head.Type() == plumbing.HashReference {
		fmt.Fprintf(out, "HEAD detached at %s\n", short(head.Hash()))
	} else {
		fmt.Fprintf(out, "On branch %s\n", c.where())
	}
	if len(lines) == 0 {
		fmt.Fprintln(out, "nothing to commit, working tree clean")
		return nil
	}
	for _, line := range lines {
		fmt.Fprintln(out, line)
	}
	return nil
}

// fromHere is a path as seen from the script's directory.
func (c *command) fromHere(name string) string {
	rel, err := filepath.Rel(c.inv.Dir, filepath.Join(c.root, name))
	if err != nil {
		return name
	}
	return rel
}

func (c *command) lsTree(_ context.Context, args []string) error {
	var recursive, nameOnly, trees bool
	operands, paths, err := c.flags("ls-tree", args, func(f *pflag.FlagSet) {
		f.BoolVarP(&recursive, "recursive", "r", false, "")
		f.BoolVar(&nameOnly, "name-only", false, "")
		f.BoolVarP(&trees, "trees", "d", false, "")
	})
	if err != nil {
		return err
	}
	if len(operands) == 0 {
		return exit{exitUsage, "usage: git ls-tree [-r] [--name-only] <tree-ish> [<path>...]"}
	}
	commit, err := c.commitAt(operands[0])
	if err != nil {
		return fatal("Not a valid object name %s", operands[0])
	}
	tree, err := commit.Tree()
	if err != nil {
		return err
	}
	return c.listTree(tree, "", append(operands[1:], paths...), recursive, nameOnly)
}

func (c *command) listTree(tree *object.Tree, prefix string, wanted []string, recursive, nameOnly bool) error {
	for _, e := range tree.Entries {
		name := prefix + e.Name
		inside := slices.ContainsFunc(wanted, func(w string) bool { return strings.HasPrefix(w, name+"/") })
		if len(wanted) > 0 && !inside && !pathspec(trimmed(wanted)).has(name) {
			continue
		}
		if e.Mode == filemode.Dir && (recursive || inside) {
			sub, err := object.GetTree(c.repo.Storer, e.Hash)
			if err != nil {
				return err
			}
			if err := c.listTree(sub, name+"/", wanted, recursive, nameOnly); err != nil {
				return err
			}
			continue
		}
		if nameOnly {
			fmt.Fprintln(c.inv.Stdout, name)
			continue
		}
		fmt.Fprintf(c.inv.Stdout, "%06o %s %s\t%s\n", uint32(e.Mode), typeOf(e.Mode), e.Hash, name)
	}
	return nil
}

func trimmed(paths []string) []string {
	out := make([]string, len(paths))
	for i, p := range paths {
		out[i] = strings.TrimSuffix(p, "/")
	}
	return out
}

func typeOf(mode filemode.FileMode) string {
	switch mode {
	case filemode.Dir:
		return "tree"
	case filemode.Submodule:
		return "commit"
	}
	return "blob"
}

func (c *command) catFile(_ context.Context, args []string) error {
	var pretty, kind, exists, size bool
	operands, _, err := c.flags("cat-file", args, func(f *pflag.FlagSet) {
		f.BoolVarP(&pretty, "pretty", "p", false, "")
		f.BoolVarP(&kind, "type", "t", false, "")
		f.BoolVarP(&exists, "exists", "e", false, "")
		f.BoolVarP(&size, "size", "s", false, "")
	})
	if err != nil {
		return err
	}
	if len(operands) == 2 { // cat-file blob X
		operands, pretty = operands[1:], true
	}
	if len(operands) != 1 {
		return exit{exitUsage, "usage: git cat-file (-p | -t | -s | -e) <object>"}
	}
	hash, err := c.revision(operands[0])
	if err != nil {
		return fatal("Not a valid object name %s", operands[0])
	}
	o, err := c.repo.Storer.EncodedObject(plumbing.AnyObject, hash)
	switch {
	case err != nil && exists:
		return exit{exitDifferent, ""}
	case err != nil:
		return fatal("Not a valid object name %s", operands[0])
	case exists:
		return nil
	case kind:
		fmt.Fprintln(c.inv.Stdout, o.Type())
		return nil
	case size:
		fmt.Fprintln(c.inv.Stdout, o.Size())
		return nil
	}
	return c.printObject(o)
}

func (c *command) printObject(o plumbing.EncodedObject) error {
	if o.Type() == plumbing.TreeObject {
		tree, err := object.DecodeTree(c.repo.Storer, o)
		if err != nil {
			return err
		}
		return c.listTree(tree, "", nil, false, false)
	}
	if o.Size() > maxFile {
		return fmt.Errorf("%s is larger than %d bytes", o.Hash(), maxFile)
	}
	r, err := o.Reader()
	if err != nil {
		return err
	}
	defer r.Close()
	return copyTo(c.inv.Stdout, r)
}
