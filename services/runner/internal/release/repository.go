package release

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	"helm.sh/helm/v3/pkg/registry"

	"github.com/towline/towline/pkg/pace"
	"github.com/towline/towline/services/runner/internal/egress"
)

// Limits on what repositories send.
const (
	fetchTimeout    = 2 * time.Minute  // of everything that one chart needs
	beginTimeout    = 30 * time.Second // of an answer
	maxIndex        = 64 << 20
	maxArchive      = 16 << 20 // packed
	maxRegistryBody = maxArchive
)

// check refuses what cannot be fetched, before anything is.
func (r *Repository) check() error {
	u, err := url.Parse(r.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" && u.Scheme != registry.OCIScheme:
		return errors.New("url: an address like https://charts.example.com or oci://registry.example.com/charts is needed")
	case u.User != nil:
		return errors.New("url: credentials do not belong into the address; use username and password")
	case r.Chart == "" || r.Chart != path.Base(r.Chart) || strings.HasPrefix(r.Chart, "."):
		return fmt.Errorf("chart: %q is no name of a chart", r.Chart)
	}
	if r.Version != "" {
		if _, err := semver.NewConstraint(r.Version); err != nil {
			return fmt.Errorf("version: %q is neither a version nor a range like ~1.2", r.Version)
		}
	}
	return nil
}

// source is one chart in a repository while it is fetched.
type source struct {
	*Repository
	client *http.Client
	engine *Engine
}

// ErrPatience is the end of fetching after Options.Patience.
var ErrPatience = errors.New("the repository takes longer than it was given")

// Fetch is how the fetching of a chart went.
type Fetch struct {
	Took time.Duration
	// Answered means that at least one answer has come to its end: the repository
	// can be reached, whatever became of the chart.
	Answered bool
	Err      error
}

// fetchRepository gets a chart from its repository and tells how that went.
func (r *run) fetchRepository(ctx context.Context) (chartFiles, error) {
	limit, over := fetchTimeout, pace.Late(fmt.Sprintf("the repository takes longer than %s", fetchTimeout))
	if p := r.engine.options.Patience; p > 0 && p < limit {
		limit, over = p, ErrPatience
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, over)
	defer cancel()
	begun := time.Now()
	packed, answered, err := r.packed(ctx)
	if tell := r.engine.options.Fetched; tell != nil {
		tell(Fetch{Took: time.Since(begun), Answered: answered, Err: err})
	}
	if err != nil {
		return nil, err
	}
	return unpack(bytes.NewReader(packed), maxChartBytes)
}

// packed gets a chart from its repository, or from what was kept of it.
func (r *run) packed(ctx context.Context) (packed []byte, answered bool, err error) {
	where := r.spec.Chart.Repository
	transport, err := egress.NewTransport(r.engine.options.Proxy, where.CA)
	if err != nil {
		return nil, false, err
	}
	defer transport.CloseIdleConnections()
	if r.engine.dial != nil {
		transport.DialContext = r.engine.dial
	}
	seen := &answers{next: transport}
	s := &source{
		Repository: where, engine: r.engine,
		client: &http.Client{Transport: &boundTransport{run: ctx, duty: ctx, next: pace.Transport{Pace: pace.Slowest, Begin: beginTimeout, Next: seen}}},
	}
	if registry.IsOCI(where.URL) {
		packed, err = s.pull()
	} else {
		packed, err = s.download(ctx)
	}
	if ended := context.Cause(ctx); err != nil && ended != nil {
		err = ended
	}
	return packed, seen.whole.Load(), err
}

// redactURL is an address without its credentials.
func redactURL(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "(an address that cannot be read)"
	}
	return u.Redacted()
}
