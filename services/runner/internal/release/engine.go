package release

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/towline/towline/services/runner/internal/toolbox/helm/library"
)

// Options of an engine.
type Options struct {
	// Proxy is the address of the HTTP proxy through which charts are fetched,
	// with its credentials; empty fetches directly.
	Proxy string
	// Cache is a directory for what repositories have sent. Engines may use it one
	// after the other, if they work for the same entry. Empty keeps nothing, and
	// reads indexes in the directory for temporary files.
	Cache string
	// Patience bounds how long a chart of a repository may be fetched, if that is
	// shorter than the engine's own limit; 0 does not.
	Patience time.Duration
	// Fetched, if it is not nil, is told how the fetching of a repository's chart
	// went.
	Fetched func(Fetch)
}

// Engine keeps releases in one cluster, as one identity. It may be used for
// several releases at once.
type Engine struct {
	options   Options
	config    *rest.Config
	discovery discovery.CachedDiscoveryInterface
	seen      seen
	kept      shelf
	// dial connects to repositories; nil is the network.
	dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// New prepares an engine that reaches the cluster with cfg. It connects to
// nothing.
func New(cfg *rest.Config, o Options) (*Engine, error) {
	library.SetUp()
	cfg = rest.CopyConfig(cfg)
	library.Client(cfg)
	if cfg.QPS == 0 {
		cfg.QPS = -1 // the server paces its clients
	}
	client, err := discovery.NewDiscoveryClientForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	return &Engine{options: o, kept: shelf(o.Cache), config: cfg, discovery: memory.NewMemCacheClient(client)}, nil
}

// Reconcile makes the release what spec says. Failures are *Failure, *SpecError,
// or wrap ErrBusy, ErrStalled or ErrLimit; the Result says what was done and
// found in any case.
func (e *Engine) Reconcile(ctx context.Context, spec Spec) (*Result, error) {
	silence()
	full, err := spec.complete()
	if err != nil {
		return &Result{}, err
	}
	r, end, err := e.run(ctx, full)
	if err != nil {
		return &Result{}, err
	}
	defer end()
	if err := r.prepare(ctx); err != nil {
		return &r.result, r.blacken(err)
	}
	err = r.advance(ctx)
	return &r.result, err
}

// Removal is a release that should not be.
type Removal struct {
	Name, Namespace string
	// Wait waits until the objects are gone.
	Wait bool
	// Timeout bounds the waiting and the hooks; 0 is DefaultTimeout.
	Timeout time.Duration
	// KeepHistory keeps the records, as in helm uninstall --keep-history.
	KeepHistory bool
	// Foreign also removes a release of which no revision was made by Towline.
	Foreign bool
}

// Uninstall removes a release. It is no error if there is none.
func (e *Engine) Uninstall(ctx context.Context, removal Removal) (*Result, error) {
	spec := &Spec{Name: removal.Name, Namespace: removal.Namespace, Timeout: removal.Timeout, Wait: removal.Wait}
	if spec.Timeout == 0 {
		spec.Timeout = DefaultTimeout
	}
	r, end, err := e.run(ctx, spec)
	if err != nil {
		return &Result{}, err
	}
	defer end()
	h, err := observe(ctx, r.metadata, spec.Namespace, spec.Name)
	if err != nil {
		return &r.result, err
	}
	last := h.last()
	switch {
	case last == nil:
		return &r.result, nil
	case !last.ours && !removal.Foreign:
		return &r.result, fmt.Errorf("release %s: %w; uninstall it with helm, or let Towline adopt it first", spec.ID(), ErrForeign)
	}
	if last.status.IsPending() && last.digest == "" {
		if d := (situation{history: h, spec: spec, now: time.Now()}).pending(last); d.err != nil {
			return &r.result, fmt.Errorf("release %s: %w", spec.ID(), d.err)
		}
	}
	r.result.Actions = append(r.result.Actions, ActionUninstall)
	if err := r.guard(ctx, func() error { return r.uninstall(removal.KeepHistory) }); err != nil {
		return &r.result, r.failure(ActionUninstall, err)
	}
	return &r.result, nil
}

// run prepares one run; end gives up what it holds.
func (e *Engine) run(ctx context.Context, spec *Spec) (*run, func(), error) {
	conn, end := newConnection(ctx, e.config, e.discovery, spec.Namespace)
	r := &run{engine: e, spec: spec, conn: conn, done: map[Action]bool{}}
	var err error
	if r.config, err = configuration(ctx, conn, spec, r.log.printf); err != nil {
		end()
		return nil, nil, fmt.Errorf("release %s: %w", spec.ID(), err)
	}
	if r.metadata, err = metadata.NewForConfig(conn.config); err != nil {
		end()
		return nil, nil, fmt.Errorf("release %s: %w", spec.ID(), err)
	}
	return r, end, nil
}

// errUnending is the end of an action that does not heed the end of its run.
var errUnending = errors.New("it does not come to its end; a template may run in a circle")
