package workspace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"

	git "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	"github.com/go-git/go-git/v5/storage/filesystem"

	"github.com/go-git/go-billy/v5/osfs"

	"github.com/towline/towline/services/runner/internal/egress"
)

// Limits on what a Git server may send.
const (
	maxResponse     = 2 << 30 // bytes of one HTTP response, the pack included
	maxRefspecs     = 64
	maxWants        = 10_000 // refs that wildcards in refspecs may match
	objectCacheSize = 64 << 20
)

// gitDir is the repository inside the project directory.
const gitDir = ".git"

// remote is where to fetch from, and as whom.
type remote struct {
	url  *url.URL // without credentials
	user string
	pass string
}

func (r *Request) remote() (*remote, error) {
	u, err := url.Parse(r.Git.RepoURL)
	if err != nil {
		return nil, errors.New("the repository's address cannot be read") // it holds the token
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("the repository's address has scheme %q: only http and https are supported", u.Scheme)
	}
	rem := &remote{}
	if u.User != nil {
		rem.user = u.User.Username()
		rem.pass, _ = u.User.Password()
	}
	u.User = nil
	rem.url = u
	return rem, nil
}

// secrets are the strings that no error may show.
func (r *Request) secrets() []string {
	var out []string
	for _, address := range []string{r.Git.RepoURL, r.Proxy} {
		if u, err := url.Parse(address); err == nil && u.User != nil {
			if pass, ok := u.User.Password(); ok && pass != "" {
				out = append(out, pass, url.QueryEscape(pass), url.PathEscape(pass))
			}
		}
	}
	return out
}

// client talks HTTP through the proxy.
func (r *Request) client() (*http.Client, error) {
	t, err := egress.NewTransport(r.Proxy, r.CA)
	if err != nil {
		return nil, err
	}
	return &http.Client{Transport: &limited{base: t, agent: r.UserAgent}}, nil
}

// limited bounds every response and names the runner in every request.
type limited struct {
	base  *http.Transport
	agent string
}

func (l *limited) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	// Servers look for "git/" to tell clients from browsers.
	req.Header.Set("User-Agent", "git/2 "+l.agent)
	res, err := l.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	res.Body = egress.Bound(res.Body, maxResponse, errTooLarge)
	return res, nil
}

var errTooLarge = fmt.Errorf("the repository is too large: more than %d bytes in one answer", int64(maxResponse))

// repository is a fetched repository.
type repository struct {
	store *filesystem.Storage
}

// fetch makes a fresh repository and gets the refspecs of the payload.
func (r *Request) fetch(ctx context.Context) (*repository, error) {
	rem, err := r.remote()
	if err != nil {
		return nil, err
	}
	store := filesystem.NewStorage(
		osfs.New(filepath.Join(r.Dir, gitDir), osfs.WithBoundOS()), cache.NewObjectLRU(objectCacheSize))
	if err := initialise(store, rem, r.Git.Refspecs); err != nil {
		return nil, err
	}
	client, err := r.client()
	if err != nil {
		return nil, err
	}
	defer client.CloseIdleConnections()
	ep, err := transport.NewEndpoint(rem.url.String())
	if err != nil {
		return nil, err
	}
	var auth transport.AuthMethod
	if rem.user != "" || rem.pass != "" {
		auth = &githttp.BasicAuth{Username: rem.user, Password: rem.pass}
	}
	session, err := githttp.NewClient(client).NewUploadPackSession(ep, auth)
	if err != nil {
		return nil, err
	}
	defer session.Close()
	adv, err := session.AdvertisedReferencesContext(ctx)
	if err != nil {
		return nil, fmt.Errorf("unable to access '%s/': %w", rem.url, err)
	}
	wants, refs, err := r.wants(adv)
	if err != nil {
		return nil, err
	}
	if err := r.download(ctx, session, adv, wants, store); err != nil {
		return nil, fmt.Errorf("fetch from '%s/': %w", rem.url, err)
	}
	for _, ref := range refs {
		if err := store.SetReference(ref); err != nil {
			return nil, fmt.Errorf("ref %s: %w", ref.Name(), err)
		}
	}
	return &repository{store: store}, nil
}

// initialise makes an empty repository whose remote has no credentials.
func initialise(store *filesystem.Storage, rem *remote, refspecs []string) error {
	if _, err := git.Init(store, nil); err != nil {
		return fmt.Errorf("git init: %w", err)
	}
	cfg, err := store.Config()
	if err != nil {
		return fmt.Errorf("git config: %w", err)
	}
	cfg.Core.IsBare = false
	rc := &config.RemoteConfig{Name: "origin", URLs: []string{rem.url.String()}}
	for _, s := range refspecs {
		if spec := config.RefSpec(s); spec.Validate() == nil {
			rc.Fetch = append(rc.Fetch, spec)
		}
	}
	cfg.Remotes["origin"] = rc
	if err := store.SetConfig(cfg); err != nil {
		return fmt.Errorf("git config: %w", err)
	}
	return nil
}

// wants matches the refspecs against what the server has.
func (r *Request) wants(adv *packp.AdvRefs) ([]plumbing.Hash, []*plumbing.Reference, error) {
	if len(r.Git.Refspecs) > maxRefspecs {
		return nil, nil, fmt.Errorf("%d refspecs are more than %d", len(r.Git.Refspecs), maxRefspecs)
	}
	sha := plumbing.NewHash(r.Git.SHA)
	wanted := map[plumbing.Hash]bool{}
	var order []plumbing.Hash
	var refs []*plumbing.Reference
	add := func(h plumbing.Hash) {
		if !wanted[h] {
			wanted[h] = true
			order = append(order, h)
		}
	}
	for _, s := range r.Git.Refspecs {
		spec := config.RefSpec(s)
		if err := spec.Validate(); err != nil {
			return nil, nil, fmt.Errorf("refspec %q: %w", s, err)
		}
		found := false
		for name, hash := range adv.References {
			ref := plumbing.ReferenceName(name)
			if !spec.Match(ref) || strings.HasSuffix(name, "^{}") {
				continue
			}
			found = true
			add(hash)
			if dst := spec.Dst(ref); dst.Validate() == nil {
				refs = append(refs, plumbing.NewHashReference(dst, hash))
			}
		}
		if !found && !spec.IsWildcard() {
			return nil, nil, fmt.Errorf("couldn't find remote ref %s", spec.Src())
		}
	}
	if len(order) > maxWants {
		return nil, nil, fmt.Errorf("the refspecs match %d refs, more than %d", len(order), maxWants)
	}
	// The commit itself is asked for by name only where no refspec leads to
	// it, since not every server allows that.
	if len(order) == 0 {
		add(sha)
	}
	return order, refs, nil
}

// download gets one pack.
func (r *Request) download(ctx context.Context, session transport.UploadPackSession, adv *packp.AdvRefs, wants []plumbing.Hash, store *filesystem.Storage) error {
	req := packp.NewUploadPackRequestFromCapabilities(adv.Capabilities)
	req.Wants = wants
	if adv.Capabilities.Supports(capability.NoProgress) {
		_ = req.Capabilities.Set(capability.NoProgress)
	}
	if r.Git.Depth > 0 {
		if err := req.Capabilities.Set(capability.Shallow); err != nil {
			return err
		}
		req.Depth = packp.DepthCommits(r.Git.Depth)
	}
	res, err := session.UploadPack(ctx, req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Close() }()
	if len(res.Shallows) > 0 {
		if err := store.SetShallow(res.Shallows); err != nil {
			return err
		}
	}
	var pack io.Reader = res
	switch {
	case req.Capabilities.Supports(capability.Sideband64k):
		pack = sideband.NewDemuxer(sideband.Sideband64k, res)
	case req.Capabilities.Supports(capability.Sideband):
		pack = sideband.NewDemuxer(sideband.Sideband, res)
	}
	err = packfile.UpdateObjectStorage(storer.Storer(store), pack)
	if errors.Is(err, packfile.ErrEmptyPackfile) {
		return errors.New("the server sent an empty pack")
	}
	return err
}
