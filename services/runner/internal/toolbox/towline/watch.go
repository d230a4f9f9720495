package towline

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
)

const (
	// again is the pause before a watch that ended is taken up again.
	again = time.Second
	// pageSize is how many objects one answer holds.
	pageSize = 500
)

var errFailed = errors.New("an object has failed and will not become ready by itself")

// follow watches the objects of one kind in one namespace until all are ready.
func (r *rollout) follow(ctx context.Context, g group, objects []*object) error {
	var client dynamic.ResourceInterface = r.client.Resource(g.resource)
	if g.namespace != "" {
		client = r.client.Resource(g.resource).Namespace(g.namespace)
	}
	byName := make(map[string]*object, len(objects))
	for _, o := range objects {
		byName[o.name] = o
	}
	opts := metav1.ListOptions{Limit: pageSize}
	if len(objects) == 1 {
		opts.FieldSelector = fields.OneTermEqualSelector("metadata.name", objects[0].name).String()
	}
	for {
		version, err := r.list(ctx, client, opts, byName)
		if err == nil && r.done(objects) {
			return r.verdict(objects)
		}
		if err == nil {
			opts.ResourceVersion = version
			err = r.watch(ctx, client, opts, byName, objects)
			opts.ResourceVersion = ""
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil && r.done(objects):
			return r.verdict(objects)
		case apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) || apierrors.IsMethodNotSupported(err) || apierrors.IsNotFound(err):
			return err
		}
		timer := time.NewTimer(again)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
}

// list looks at all objects once and returns the version to watch from.
func (r *rollout) list(ctx context.Context, client dynamic.ResourceInterface, opts metav1.ListOptions, byName map[string]*object) (string, error) {
	seen := map[string]bool{}
	for {
		page, err := client.List(ctx, opts)
		if err != nil {
			return "", err
		}
		for i := range page.Items {
			if o := byName[page.Items[i].GetName()]; o != nil {
				seen[o.name] = true
				r.update(o, &page.Items[i])
			}
		}
		if opts.Continue = page.GetContinue(); opts.Continue == "" {
			for name, o := range byName {
				if !seen[name] {
					r.update(o, nil)
				}
			}
			return page.GetResourceVersion(), nil
		}
	}
}

// watch follows changes until all objects are done or the server ends it.
func (r *rollout) watch(ctx context.Context, client dynamic.ResourceInterface, opts metav1.ListOptions, byName map[string]*object, objects []*object) error {
	opts.Limit = 0
	w, err := client.Watch(ctx, opts)
	if err != nil {
		return err
	}
	defer w.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case event, ok := <-w.ResultChan():
			if !ok || event.Type == watch.Error {
				return nil // list again
			}
			u, isObject := event.Object.(*unstructured.Unstructured)
			if !isObject || byName[u.GetName()] == nil {
				continue
			}
			o := byName[u.GetName()]
			if event.Type == watch.Deleted {
				u = nil
			}
			r.update(o, u)
			if r.done(objects) {
				return nil
			}
		}
	}
}

// update notes how far an object is and prints a line if that has changed.
func (r *rollout) update(o *object, live *unstructured.Unstructured) {
	now := notYet("does not exist")
	if live != nil {
		now = judge(live)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	o.live = live
	if now == o.state {
		return
	}
	o.state = now
	if !r.quiet {
		fmt.Fprintf(r.inv.Stdout, "%6.1fs  %s: %s\n", time.Since(r.start).Seconds(), o, now.why)
	}
}

// done says whether nothing is left to wait for: all are ready, or one has
// failed.
func (r *rollout) done(objects []*object) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := true
	for _, o := range objects {
		if o.state.phase == failed {
			return true
		}
		all = all && o.state.phase == ready
	}
	return all
}

func (r *rollout) verdict(objects []*object) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, o := range objects {
		if o.state.phase == failed {
			return fmt.Errorf("%s %s: %w", o, o.state.why, errFailed)
		}
	}
	return nil
}
