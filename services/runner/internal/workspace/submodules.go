package workspace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/towline/towline/pkg/joblines"
	"github.com/towline/towline/pkg/jobspec"
)

// Strategies of GIT_SUBMODULE_STRATEGY.
const (
	submodulesNormal    = "normal"
	submodulesRecursive = "recursive"
)

// Limits on submodules.
const (
	maxModules     = 200 // of all levels together
	maxModuleDepth = 10
	maxModulesFile = 1 << 20
	modulesFile    = ".gitmodules"
)

// submodules fetches what the job wants of the submodules of a checkout.
func (r *Request) submodules(ctx context.Context, c *checkout) error {
	strategy := r.Get("GIT_SUBMODULE_STRATEGY")
	if strategy == "" || strategy == strategyNone {
		r.Log.Notice("Skipping Git submodules setup")
		return nil
	}
	recursively, depth := "", r.moduleDepth()
	if strategy == submodulesRecursive {
		recursively = " recursively"
	}
	if depth > 0 {
		r.Log.Notice(fmt.Sprintf("Updating/initializing submodules%s with git depth set to %d...", recursively, depth))
	} else {
		r.Log.Notice(fmt.Sprintf("Updating/initializing submodules%s...", recursively))
	}
	return r.update(ctx, c, depth, 1)
}

func (r *Request) moduleDepth() int {
	value := r.Get("GIT_SUBMODULE_DEPTH")
	if value == "" {
		return r.Git.Depth
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 {
		r.Log.Warn(fmt.Sprintf("GIT_SUBMODULE_DEPTH %q is no depth: using %d", value, r.Git.Depth))
		return r.Git.Depth
	}
	return n
}

// update fetches the submodules of one repository. Only directories that its
// own tree has for submodules are filled.
func (r *Request) update(ctx context.Context, c *checkout, depth, level int) error {
	if len(c.modules) == 0 {
		return nil
	}
	modules, err := c.read(r.Git.SHA)
	if err != nil {
		return err
	}
	for _, m := range modules {
		sha, ok := c.modules[m.Path]
		if !ok || level == 1 && !wanted(r.Get("GIT_SUBMODULE_PATHS"), m.Path) {
			continue
		}
		if c.total.modules++; c.total.modules > maxModules {
			return fmt.Errorf("the repository has more than %d submodules", maxModules)
		}
		if err := r.module(ctx, c, m, sha, depth, level); err != nil {
			return fmt.Errorf("submodule %s: %w", m.Path, err)
		}
	}
	return nil
}

// read lists the submodules that .gitmodules of a commit describes, by path.
func (c *checkout) read(sha string) ([]*config.Submodule, error) {
	commit, err := object.GetCommit(c.repo.store, plumbing.NewHash(sha))
	if err != nil {
		return nil, err
	}
	file, err := commit.File(modulesFile)
	if errors.Is(err, object.ErrFileNotFound) {
		return nil, fmt.Errorf("no %s describes the submodules of the repository", modulesFile)
	}
	if err != nil {
		return nil, err
	}
	if file.Size > maxModulesFile {
		return nil, fmt.Errorf("%s is larger than %d bytes", modulesFile, maxModulesFile)
	}
	in, err := file.Reader()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	text, err := io.ReadAll(io.LimitReader(in, maxModulesFile))
	if err != nil {
		return nil, err
	}
	modules := config.NewModules()
	if err := modules.Unmarshal(text); err != nil {
		return nil, fmt.Errorf("%s: %w", modulesFile, err)
	}
	out := make([]*config.Submodule, 0, len(modules.Submodules))
	for _, m := range modules.Submodules {
		m.Path = path.Clean(m.Path)
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b *config.Submodule) int { return strings.Compare(a.Path, b.Path) })
	return out, nil
}

// module fetches one submodule and, if the job wants that, its own.
func (r *Request) module(ctx context.Context, parent *checkout, m *config.Submodule, sha plumbing.Hash, depth, level int) error {
	if level > maxModuleDepth {
		return fmt.Errorf("submodules are nested more than %d deep", maxModuleDepth)
	}
	address, err := r.moduleURL(m.URL)
	if err != nil {
		return err
	}
	sub := *r
	sub.Dir = filepath.Join(r.Dir, filepath.FromSlash(m.Path))
	sub.Git = jobspec.GitInfo{RepoURL: address.String(), SHA: sha.String(), Depth: depth}
	shown := *address
	shown.User = nil
	r.Log.Raw(fmt.Sprintf("Submodule '%s' (%s) registered for path '%s'", joblines.Plain(m.Name), joblines.Plain(shown.String()), joblines.Plain(m.Path)))
	repo, err := sub.fetch(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = repo.store.Close() }()
	c := &checkout{repo: repo, total: parent.total}
	if err := c.run(ctx, sub.Dir, sha); err != nil {
		return err
	}
	r.Log.Raw(fmt.Sprintf("Submodule path '%s': checked out '%s'", joblines.Plain(m.Path), sha))
	if r.Get("GIT_SUBMODULE_STRATEGY") != submodulesRecursive {
		return nil
	}
	return sub.update(ctx, c, depth, level+1)
}

// moduleURL resolves the address of a submodule. The credentials of the job go
// along only to the host and by the scheme that they are for.
func (r *Request) moduleURL(raw string) (*url.URL, error) {
	base, err := r.remote()
	if err != nil {
		return nil, err
	}
	var u *url.URL
	switch {
	case strings.HasPrefix(raw, "./") || strings.HasPrefix(raw, "../"):
		resolved := *base.url
		resolved.Path, resolved.RawPath = path.Join(base.url.Path, raw), ""
		u = &resolved
	default:
		if u, err = r.absoluteURL(raw, base.url); err != nil {
			return nil, err
		}
	}
	u.User = nil
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("the address has scheme %q: only http and https are supported; for ssh addresses of this GitLab set GIT_SUBMODULE_FORCE_HTTPS=true", u.Scheme)
	}
	if u.Scheme == base.url.Scheme && strings.EqualFold(u.Host, base.url.Host) && (base.user != "" || base.pass != "") {
		u.User = url.UserPassword(base.user, base.pass)
	}
	return u, nil
}

// absoluteURL reads an address; ssh addresses of the job's own host become
// HTTP(S) ones where the job asks for that.
func (r *Request) absoluteURL(raw string, base *url.URL) (*url.URL, error) {
	if !strings.Contains(raw, "://") { // user@host:path
		host, p, ok := strings.Cut(raw, ":")
		if !ok {
			return nil, errors.New("the address is neither relative nor a URL")
		}
		raw = "ssh://" + host + "/" + strings.TrimPrefix(p, "/")
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("the address cannot be read") // it may hold a credential
	}
	force := r.Get("GIT_SUBMODULE_FORCE_HTTPS")
	if u.Scheme == "ssh" && (force == "true" || force == "1") && strings.EqualFold(u.Hostname(), base.Hostname()) {
		u.Scheme, u.Host = base.Scheme, base.Host
	}
	return u, nil
}

// wanted applies GIT_SUBMODULE_PATHS: paths or globs divided by blanks, with
// :(exclude) or :! in front of what is not wanted.
func wanted(spec, name string) bool {
	included, any := false, false
	for _, p := range strings.Fields(spec) {
		exclude := false
		for _, prefix := range []string{":(exclude)", ":!", ":^"} {
			if rest, ok := strings.CutPrefix(p, prefix); ok {
				p, exclude = rest, true
				break
			}
		}
		p = path.Clean(p)
		match, _ := path.Match(p, name)
		match = match || name == p || strings.HasPrefix(name, p+"/")
		if exclude && match {
			return false
		}
		any = any || !exclude
		included = included || match
	}
	return included || !any
}
