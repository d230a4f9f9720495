package git

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/spf13/pflag"
)

func (c *command) remote(_ context.Context, args []string) error {
	var verbose bool
	operands, _, err := c.flags("remote", args, func(f *pflag.FlagSet) { f.BoolVarP(&verbose, "verbose", "v", false, "") })
	if err != nil {
		return err
	}
	cfg, err := c.repo.Config()
	if err != nil {
		return err
	}
	name := ""
	if len(operands) > 1 {
		name = operands[1]
	}
	known := cfg.Remotes[name]
	switch verb := first(operands); {
	case verb == "":
		c.listRemotes(cfg, verbose)
		return nil
	case verb == "add" && len(operands) == 3:
		if known != nil {
			return exit{3, fmt.Sprintf("error: remote %s already exists.", name)}
		}
		_, err := c.repo.CreateRemote(&config.RemoteConfig{Name: name, URLs: operands[2:]})
		return err
	case known == nil:
		return exit{2, fmt.Sprintf("error: No such remote '%s'", name)}
	case verb == "get-url":
		fmt.Fprintln(c.inv.Stdout, known.URLs[0])
		return nil
	case verb == "set-url" && len(operands) == 3:
		known.URLs = operands[2:]
		return c.repo.SetConfig(cfg)
	case verb == "remove" || verb == "rm":
		return c.repo.DeleteRemote(name)
	}
	return exit{exitUsage, "usage: git remote [-v] | add NAME URL | get-url NAME | set-url NAME URL | remove NAME"}
}

func (c *command) listRemotes(cfg *config.Config, verbose bool) {
	for _, name := range slices.Sorted(maps.Keys(cfg.Remotes)) {
		if !verbose {
			fmt.Fprintln(c.inv.Stdout, name)
			continue
		}
		fmt.Fprintf(c.inv.Stdout, "%s\t%s (fetch)\n%s\t%s (push)\n", name, cfg.Remotes[name].URLs[0], name, cfg.Remotes[name].URLs[0])
	}
}

func (c *command) fetch(ctx context.Context, args []string) error {
	var depth int
	var tags, prune, unshallow, quiet, force bool
	operands, _, err := c.flags("fetch", args, func(f *pflag.FlagSet) {
		f.IntVar(&depth, "depth", 0, "")
		f.BoolVarP(&tags, "tags", "t", false, "")
		f.BoolVarP(&prune, "prune", "p", false, "")
		f.BoolVar(&unshallow, "unshallow", false, "")
		f.BoolVarP(&quiet, "quiet", "q", false, "")
		f.BoolVarP(&force, "force", "f", false, "")
	})
	if err != nil {
		return err
	}
	opts := &gogit.FetchOptions{RemoteName: "origin", Depth: depth, Force: true, Prune: prune, Tags: gogit.TagFollowing}
	if tags {
		opts.Tags = gogit.AllTags
	}
	if unshallow {
		opts.Depth = 1<<31 - 1 // what git itself asks for
	}
	if len(operands) > 0 {
		opts.RemoteName = operands[0]
		if strings.Contains(operands[0], "://") {
			opts.RemoteName, opts.RemoteURL = "origin", operands[0]
		}
		for _, spec := range operands[1:] {
			opts.RefSpecs = append(opts.RefSpecs, refspec(spec, opts.RemoteName))
		}
	}
	if opts.RemoteURL, opts.Auth, err = c.credentials(opts.RemoteName, opts.RemoteURL); err != nil {
		return err
	}
	if ctx, err = c.connect(ctx); err != nil {
		return err
	}
	err = c.repo.FetchContext(ctx, opts)
	if err != nil && !errors.Is(err, gogit.NoErrAlreadyUpToDate) {
		return err
	}
	if opts.Depth > 0 {
		return c.deepened()
	}
	return nil
}

// deepened takes the commits whose parents have come off the list of those
// where history ends: go-git only ever adds to it.
func (c *command) deepened() error {
	ends, err := c.repo.Storer.Shallow()
	if err != nil {
		return err
	}
	return c.repo.Storer.SetShallow(slices.DeleteFunc(ends, func(end plumbing.Hash) bool {
		commit, err := c.repo.CommitObject(end)
		return err == nil && !slices.ContainsFunc(commit.ParentHashes, func(parent plumbing.Hash) bool {
			return c.repo.Storer.HasEncodedObject(parent) != nil
		})
	}))
}

// refspec completes the short form of a branch.
func refspec(spec, remote string) config.RefSpec {
	if strings.Contains(spec, ":") {
		return config.RefSpec(spec)
	}
	if strings.HasPrefix(spec, "refs/") {
		return config.RefSpec("+" + spec + ":" + spec)
	}
	return config.RefSpec(fmt.Sprintf("+refs/heads/%s:refs/remotes/%s/%s", spec, remote, spec))
}

// cloning is the flags of git clone.
type cloning struct {
	branch                      string
	depth                       int
	single, quiet, bare, noTags bool
}

func (c *command) clone(ctx context.Context, args []string) error {
	var o cloning
	f := pflag.NewFlagSet("clone", pflag.ContinueOnError)
	f.StringVarP(&o.branch, "branch", "b", "", "")
	f.IntVar(&o.depth, "depth", 0, "")
	f.BoolVar(&o.single, "single-branch", false, "")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "")
	f.BoolVar(&o.bare, "bare", false, "")
	f.BoolVar(&o.noTags, "no-tags", false, "")
	f.SetOutput(io.Discard)
	if err := f.Parse(args); err != nil {
		return exit{exitUsage, fmt.Sprintf("error: git clone: %v: this option is not available in a job", err)}
	}
	if f.NArg() == 0 || f.NArg() > 2 {
		return fatal("You must specify a repository to clone.")
	}
	u, err := address(f.Arg(0))
	if err != nil {
		return err
	}
	name := strings.TrimSuffix(path.Base(u.Path), ".git")
	if f.NArg() == 2 {
		name = f.Arg(1)
	}
	dir := c.inv.Path(name)
	if list, err := os.ReadDir(dir); err == nil && len(list) > 0 {
		return fatal("destination path '%s' already exists and is not an empty directory.", name)
	}
	if !o.quiet {
		fmt.Fprintf(c.inv.Stderr, "Cloning into '%s'...\n", name)
	}
	if ctx, err = c.connect(ctx); err != nil {
		return err
	}
	return o.run(ctx, dir, &gogit.CloneOptions{URL: f.Arg(0), Auth: c.auth(u), Tags: gogit.TagFollowing})
}

func (o cloning) run(ctx context.Context, dir string, opts *gogit.CloneOptions) error {
	opts.Depth, opts.SingleBranch = o.depth, o.single || o.depth > 0
	if o.noTags {
		opts.Tags = gogit.NoTags
	}
	if o.branch != "" {
		opts.ReferenceName = plumbing.NewBranchReferenceName(o.branch)
	}
	_, err := gogit.PlainCloneContext(ctx, dir, o.bare, opts)
	if o.branch != "" && (errors.As(err, new(gogit.NoMatchingRefSpecError)) || errors.Is(err, plumbing.ErrReferenceNotFound)) {
		opts.ReferenceName = plumbing.NewTagReferenceName(o.branch)
		_, err = gogit.PlainCloneContext(ctx, dir, o.bare, opts)
	}
	return err
}
