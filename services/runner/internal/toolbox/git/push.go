package git

import (
	"context"
	"errors"
	"fmt"
	"strings"

	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/spf13/pflag"
)

func (c *command) push(ctx context.Context, args []string) error {
	var force, upstream, tags, quiet, lease bool
	var options []string
	operands, _, err := c.flags("push", args, func(f *pflag.FlagSet) {
		f.BoolVarP(&force, "force", "f", false, "")
		f.BoolVar(&lease, "force-with-lease", false, "")
		f.BoolVarP(&upstream, "set-upstream", "u", false, "")
		f.BoolVar(&tags, "tags", false, "")
		f.BoolVarP(&quiet, "quiet", "q", false, "")
		f.StringArrayVarP(&options, "push-option", "o", nil, "")
	})
	if err != nil {
		return err
	}
	opts := &gogit.PushOptions{RemoteName: "origin", Force: force || lease}
	given := first(operands)
	if strings.Contains(given, "://") {
		opts.RemoteURL = given
	} else if given != "" {
		opts.RemoteName = given
	}
	for _, o := range options {
		if opts.Options == nil {
			opts.Options = map[string]string{}
		}
		key, value, _ := strings.Cut(o, "=")
		opts.Options[key] = value
	}
	if opts.RefSpecs, err = c.pushed(operands, tags); err != nil {
		return err
	}
	if lease {
		if opts.RequireRemoteRefs, err = c.leases(opts.RemoteName, opts.RefSpecs); err != nil {
			return err
		}
	}
	if opts.RemoteURL, opts.Auth, err = c.credentials(opts.RemoteName, opts.RemoteURL); err != nil {
		return err
	}
	if ctx, err = c.connect(ctx); err != nil {
		return err
	}
	err = c.repo.PushContext(ctx, opts)
	switch {
	case errors.Is(err, gogit.NoErrAlreadyUpToDate):
		fmt.Fprintln(c.inv.Stderr, "Everything up-to-date")
		return nil
	case errors.Is(err, pktline.ErrInvalidPktLen):
		return fmt.Errorf("the server's answer cannot be read: %w", err)
	case err != nil:
		return exit{1, "error: failed to push some refs: " + c.redact(err.Error())}
	}
	return nil
}

// leases are what --force-with-lease expects the remote to have: what the last
// fetch or push has seen there.
func (c *command) leases(remote string, specs []config.RefSpec) ([]config.RefSpec, error) {
	var out []config.RefSpec
	for _, spec := range specs {
		_, target, _ := strings.Cut(string(spec), ":")
		branch, ok := strings.CutPrefix(target, "refs/heads/")
		if !ok {
			continue
		}
		seen, err := c.repo.Reference(plumbing.NewRemoteReferenceName(remote, branch), true)
		if err != nil {
			return nil, exit{1, fmt.Sprintf("error: failed to push some refs: --force-with-lease of %s is rejected (stale info): run git fetch %s %s first", branch, remote, branch)}
		}
		out = append(out, config.RefSpec(seen.Hash().String()+":"+target))
	}
	return out, nil
}

// pushed are the refspecs of a push.
func (c *command) pushed(operands []string, tags bool) ([]config.RefSpec, error) {
	var out []config.RefSpec
	if tags {
		out = append(out, "refs/tags/*:refs/tags/*")
	}
	specs := operands[min(1, len(operands)):]
	if len(specs) == 0 && !tags {
		specs = []string{c.where()}
		if specs[0] == "HEAD (no branch)" {
			return nil, fatal("You are not currently on a branch.\nTo push the history leading to the current (detached HEAD)\nstate now, use\n\n    git push origin HEAD:<name-of-remote-branch>")
		}
	}
	for _, spec := range specs {
		full, err := c.complete(spec)
		if err != nil {
			return nil, err
		}
		out = append(out, full)
	}
	return out, nil
}

// complete makes both sides of a refspec full names.
func (c *command) complete(spec string) (config.RefSpec, error) {
	plus := ""
	if rest, ok := strings.CutPrefix(spec, "+"); ok {
		plus, spec = "+", rest
	}
	from, to, pair := strings.Cut(spec, ":")
	if !pair {
		if to = from; from == "HEAD" {
			to = c.where()
		}
	}
	local, err := c.local(from)
	if err != nil {
		return "", err
	}
	if !strings.HasPrefix(to, "refs/") {
		if to = "refs/heads/" + to; strings.HasPrefix(local, "refs/tags/") && !pair {
			to = local
		}
	}
	return config.RefSpec(plus + local + ":" + to), nil
}

// local is the full name of what is pushed, "" for a deletion.
func (c *command) local(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	for _, rule := range plumbing.RefRevParseRules {
		ref, err := c.repo.Reference(plumbing.ReferenceName(strings.Replace(rule, "%s", name, 1)), false)
		if err == nil {
			if ref.Type() == plumbing.SymbolicReference {
				return ref.Target().String(), nil
			}
			if ref.Name() == plumbing.HEAD {
				return ref.Hash().String(), nil
			}
			return ref.Name().String(), nil
		}
	}
	hash, err := c.resolve(name)
	if err != nil {
		return "", exit{1, fmt.Sprintf("error: src refspec %s does not match any", name)}
	}
	return hash.String(), nil
}
