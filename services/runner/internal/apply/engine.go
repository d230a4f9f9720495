package apply

import (
	"context"
	"fmt"
	"sync"

	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	v1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/towline/towline/services/runner/internal/apply/kinds"
)

// Engine applies sets with one identity. It is safe for concurrent use by runs
// with different inventories.
type Engine struct {
	meta      metadata.Interface
	dynamic   dynamic.Interface
	core      v1.CoreV1Interface
	discovery discovery.DiscoveryInterface
}

// New returns an engine for the API server of cfg; it dials nothing. cfg is
// copied; its limits of queries per second are lifted, as the API server's own
// fairness does better.
func New(cfg *rest.Config) (*Engine, error) {
	cfg = rest.CopyConfig(cfg)
	cfg.QPS, cfg.Burst, cfg.RateLimiter = -1, 0, nil
	cfg.WarningHandler, cfg.WarningHandlerWithContext = nil, collector{}
	client, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("client of the Kubernetes API: %w", err)
	}
	e := &Engine{}
	if e.meta, err = metadata.NewForConfigAndClient(cfg, client); err != nil {
		return nil, fmt.Errorf("client of the Kubernetes API: %w", err)
	}
	if e.dynamic, err = dynamic.NewForConfigAndClient(cfg, client); err != nil {
		return nil, fmt.Errorf("client of the Kubernetes API: %w", err)
	}
	if e.core, err = v1.NewForConfigAndClient(cfg, client); err != nil {
		return nil, fmt.Errorf("client of the Kubernetes API: %w", err)
	}
	if e.discovery, err = discovery.NewDiscoveryClientForConfigAndClient(cfg, client); err != nil {
		return nil, fmt.Errorf("client of the Kubernetes API: %w", err)
	}
	return e, nil
}

// Apply makes the cluster hold the set. The report is valid with an error, too,
// as far as the run came; the error is of the run (the API does not answer, the
// inventory cannot be read), while what is wrong with single objects is only in
// the report (Report.Err). When ctx ends, requests under way end with it and the
// inventory is still written.
func (e *Engine) Apply(ctx context.Context, set Set, opts Options) (Report, error) {
	opts, err := opts.checked()
	if err != nil {
		return Report{}, err
	}
	r, err := newRun(e, opts)
	if err != nil {
		return Report{}, err
	}
	err = r.do(ctx, set)
	return r.finish(), err
}

// warnings collects what the API server says about one request.
type warnings struct {
	mu   sync.Mutex
	text []string
}

type warningsKey struct{}

// collect returns a context whose requests' warnings are collected.
func collect(ctx context.Context) (context.Context, *warnings) {
	w := &warnings{}
	return context.WithValue(ctx, warningsKey{}, w), w
}

// collector gives warnings to the request they belong to.
type collector struct{}

// maxWarnings of one object that are kept.
const maxWarnings = 10

// HandleWarningHeaderWithContext implements rest.WarningHandlerWithContext.
func (collector) HandleWarningHeaderWithContext(ctx context.Context, code int, _, text string) {
	w, ok := ctx.Value(warningsKey{}).(*warnings)
	if !ok || code != 299 || text == "" {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.text) < maxWarnings {
		w.text = append(w.text, text)
	}
}

func (e *Engine) kinds() (*kinds.Table, error) { return kinds.Discover(e.discovery) }
