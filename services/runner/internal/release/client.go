package release

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/kube"
	"helm.sh/helm/v3/pkg/releaseutil"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"

	"github.com/towline/towline/services/runner/internal/toolbox/helm/library"
)

// client is Helm's client of the cluster, whose waiting ends with the run.
type client struct {
	*kube.Client
	ctx        context.Context
	namespaces []string // patterns; none allow all
	tolerant   bool     // leaves out kinds that the cluster does not know
}

// configuration is what the library's actions work with.
func configuration(ctx context.Context, c *connection, spec *Spec, log action.DebugLog) (*action.Configuration, error) {
	cfg := new(action.Configuration)
	if err := cfg.Init(c, c.namespace, "secret", log); err != nil {
		return nil, err
	}
	cfg.KubeClient = &client{
		Client: &kube.Client{Factory: library.Factory{Factory: cmdutil.NewFactory(c)}, Log: log, Namespace: c.namespace},
		ctx:    ctx, namespaces: spec.Namespaces,
	}
	return cfg, nil
}

// Build implements kube.Interface. All objects come through here before anything
// is sent: those of the manifest, of hooks, and CRDs.
func (c *client) Build(reader io.Reader, validate bool) (kube.ResourceList, error) {
	if !c.tolerant {
		return c.build(reader, validate)
	}
	text, err := io.ReadAll(reader)
	if err != nil {
		return nil, err
	}
	objects, err := c.build(bytes.NewReader(text), validate)
	if !isNewKind(err) {
		return objects, err
	}
	docs := releaseutil.SplitManifests(string(text))
	objects = nil
	for _, name := range slices.Sorted(maps.Keys(docs)) {
		known, err := c.build(strings.NewReader(docs[name]), validate)
		if err != nil && !isNewKind(err) {
			return nil, err
		}
		objects = append(objects, known...)
	}
	return objects, nil
}

func (c *client) build(reader io.Reader, validate bool) (kube.ResourceList, error) {
	objects, err := c.Client.Build(reader, validate)
	if err != nil || len(c.namespaces) == 0 {
		return objects, err
	}
	for _, o := range objects {
		if !slices.ContainsFunc(c.namespaces, func(p string) bool { ok, err := path.Match(p, o.Namespace); return ok && err == nil }) {
			return nil, fmt.Errorf("%s: its chart may only have objects in the namespaces %q", objectName(o), c.namespaces)
		}
	}
	return objects, nil
}

// Wait implements kube.Interface.
func (c *client) Wait(resources kube.ResourceList, timeout time.Duration) error {
	return c.until(func() error { return c.Client.Wait(resources, timeout) })
}

// WaitWithJobs implements kube.Interface.
func (c *client) WaitWithJobs(resources kube.ResourceList, timeout time.Duration) error {
	return c.until(func() error { return c.Client.WaitWithJobs(resources, timeout) })
}

// WaitForDelete implements kube.InterfaceExt.
func (c *client) WaitForDelete(resources kube.ResourceList, timeout time.Duration) error {
	return c.until(func() error { return c.Client.WaitForDelete(resources, timeout) })
}

// WatchUntilReady implements kube.Interface.
func (c *client) WatchUntilReady(resources kube.ResourceList, timeout time.Duration) error {
	return c.until(func() error { return c.Client.WatchUntilReady(resources, timeout) })
}

// until waits for the library or for the end of the run, whichever is first. The
// library's own waiting then finds that it is refused, and ends too.
func (c *client) until(wait func() error) error {
	done := make(chan error, 1)
	go func() { done <- wait() }()
	select {
	case err := <-done:
		return err
	case <-c.ctx.Done():
		return context.Cause(c.ctx)
	}
}
