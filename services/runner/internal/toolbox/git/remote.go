package git

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/plumbing/transport/client"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	"github.com/spf13/pflag"
)

// protocols leaves go-git HTTP alone, through the proxy: SSH and local
// repositories would run programs.
var protocols sync.Once

func (c *command) connect() {
	protocols.Do(func() {
		t := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}
		if u, err := url.Parse(c.proxy); err == nil && c.proxy != "" {
			t.Proxy = http.ProxyURL(u)
		}
		web := githttp.NewClient(&http.Client{Transport: t})
		client.InstallProtocol("http", web)
		client.InstallProtocol("https", web)
		for _, name := range []string{"ssh", "git", "file"} {
			client.InstallProtocol(name, nil)
		}
	})
}

// address refuses what is not HTTP.
func address(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return fatal("only http:// and https:// repositories can be used in a job")
	}
	return nil
}

// redact removes the passwords of addresses from a message.
func (c *command) redact(text string) string {
	for _, field := range append(slices.Clone(c.inv.Args), c.urls()...) {
		if u, err := url.Parse(field); err == nil && u.User != nil {
			if password, ok := u.User.Password(); ok && password != "" {
				text = strings.NewReplacer(password, "[MASKED]", url.QueryEscape(password), "[MASKED]", url.PathEscape(password), "[MASKED]").Replace(text)
			}
		}
	}
	return text
}

func (c *command) urls() []string {
	if c.repo == nil {
		return nil
	}
	var out []string
	if remotes, err := c.repo.Remotes(); err == nil {
		for _, r := range remotes {
			out = append(out, r.Config().URLs...)
		}
	}
	return out
}

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
		var names []string
		for n := range cfg.Remotes {
			names = append(names, n)
		}
		slices.Sort(names)
		for _, n := range names {
			if !verbose {
				fmt.Fprintln(c.inv.Stdout, n)
				continue
			}
			fmt.Fprintf(c.inv.Stdout, "%s\t%s (fetch)\n%s\t%s (push)\n", n, cfg.Remotes[n].URLs[0], n, cfg.Remotes[n].URLs[0])
		}
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
	c.connect()
	err = c.repo.FetchContext(ctx, opts)
	if errors.Is(err, gogit.NoErrAlreadyUpToDate) {
		return nil
	}
	return err
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

// credentials are those of the address, else the job's own for its GitLab.
func (c *command) credentials(remote, given string) (string, transport.AuthMethod, error) {
	text := given
	if text == "" {
		r, err := c.repo.Remote(remote)
		if err != nil {
			return "", nil, fatal("'%s' does not appear to be a git repository", remote)
		}
		text = r.Config().URLs[0]
	}
	if err := address(text); err != nil {
		return "", nil, err
	}
	u, err := url.Parse(text)
	if err != nil {
		return "", nil, err
	}
	auth := c.auth(u)
	u.User = nil
	return u.String(), auth, nil
}

// auth must be an interface without a value where there is nothing.
func (c *command) auth(u *url.URL) transport.AuthMethod {
	if u.User != nil {
		password, _ := u.User.Password()
		return &githttp.BasicAuth{Username: u.User.Username(), Password: password}
	}
	server, _ := c.inv.Getenv("CI_SERVER_HOST")
	token, _ := c.inv.Getenv("CI_JOB_TOKEN")
	if token != "" && server != "" && u.Hostname() == server {
		return &githttp.BasicAuth{Username: "gitlab-ci-token", Password: token}
	}
	return nil
}

func (c *command) clone(ctx context.Context, args []string) error {
	var branch string
	var depth int
	var single, quiet, bare, noTags bool
	f := pflag.NewFlagSet("clone", pflag.ContinueOnError)
	f.StringVarP(&branch, "branch", "b", "", "")
	f.IntVar(&depth, "depth", 0, "")
	f.BoolVar(&single, "single-branch", false, "")
	f.BoolVarP(&quiet, "quiet", "q", false, "")
	f.BoolVar(&bare, "bare", false, "")
	f.BoolVar(&noTags, "no-tags", false, "")
	f.SetOutput(c.inv.Stderr)
	if err := f.Parse(args); err != nil {
		return exit{exitUsage, fmt.Sprintf("error: git clone: %v: this option is not available in a job", err)}
	}
	if f.NArg() == 0 || f.NArg() > 2 {
		return fatal("You must specify a repository to clone.")
	}
	if err := address(f.Arg(0)); err != nil {
		return err
	}
	u, err := url.Parse(f.Arg(0))
	if err != nil {
		return err
	}
	name := strings.TrimSuffix(filepath.Base(u.Path), ".git")
	if f.NArg() == 2 {
		name = f.Arg(1)
	}
	dir := c.inv.Path(name)
	if list, err := os.ReadDir(dir); err == nil && len(list) > 0 {
		return fatal("destination path '%s' already exists and is not an empty directory.", name)
	}
	if !quiet {
		fmt.Fprintf(c.inv.Stderr, "Cloning into '%s'...\n", name)
	}
	opts := &gogit.CloneOptions{URL: f.Arg(0), Depth: depth, SingleBranch: single || depth > 0, Auth: c.auth(u), Tags: gogit.TagFollowing}
	if noTags {
		opts.Tags = gogit.NoTags
	}
	if branch != "" {
		opts.ReferenceName = plumbing.NewBranchReferenceName(branch)
	}
	c.connect()
	_, err = gogit.PlainCloneContext(ctx, dir, bare, opts)
	if branch != "" && errors.As(err, new(gogit.NoMatchingRefSpecError)) {
		opts.ReferenceName = plumbing.NewTagReferenceName(branch)
		_, err = gogit.PlainCloneContext(ctx, dir, bare, opts)
	}
	return err
}

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
	opts := &gogit.PushOptions{RemoteName: "origin", Force: force}
	if lease {
		opts.ForceWithLease = &gogit.ForceWithLease{}
	}
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
	if opts.RemoteURL, opts.Auth, err = c.credentials(opts.RemoteName, opts.RemoteURL); err != nil {
		return err
	}
	c.connect()
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
		plus := ""
		if rest, ok := strings.CutPrefix(spec, "+"); ok {
			plus, spec = "+", rest
		}
		from, to, ok := strings.Cut(spec, ":")
		if !ok {
			if to = from; from == "HEAD" {
				to = c.where()
			}
		}
		local, err := c.local(from)
		if err != nil {
			return nil, err
		}
		if !strings.HasPrefix(to, "refs/") {
			if to = "refs/heads/" + to; strings.HasPrefix(local, "refs/tags/") && !ok {
				to = local
			}
		}
		out = append(out, config.RefSpec(plus+local+":"+to))
	}
	return out, nil
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
