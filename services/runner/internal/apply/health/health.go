package health

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/towline/towline/pkg/retry"
	"github.com/towline/towline/services/runner/internal/apply/objref"
)

// State of an object.
type State string

// States. Progressing may still become Healthy; Failed says of itself that it
// will not without help.
const (
	Healthy     State = "healthy"
	Progressing State = "progressing"
	Failed      State = "failed"
	Missing     State = "missing"
)

// Status is a state and what the object says about it.
type Status struct {
	State   State
	Message string
}

// Target is one object to look at.
type Target struct {
	Ref      objref.Ref
	Resource schema.GroupVersionResource
}

// page is how many objects one list brings at most.
const page = 500

// pauses between two looks: short at first, for what is ready at once.
var pauses = retry.Policy{Min: 200 * time.Millisecond, Max: 4 * time.Second}

// plain are kinds that are what they should be as soon as they exist.
var plain = []schema.GroupKind{
	{Kind: "ConfigMap"},
	{Kind: "Secret"},
	{Kind: "ServiceAccount"},
	{Kind: "Namespace"},
	{Kind: "LimitRange"},
	{Kind: "ResourceQuota"},
	{Group: "rbac.authorization.k8s.io", Kind: "Role"},
	{Group: "rbac.authorization.k8s.io", Kind: "RoleBinding"},
	{Group: "rbac.authorization.k8s.io", Kind: "ClusterRole"},
	{Group: "rbac.authorization.k8s.io", Kind: "ClusterRoleBinding"},
	{Group: "networking.k8s.io", Kind: "NetworkPolicy"},
	{Group: "networking.k8s.io", Kind: "IngressClass"},
	{Group: "networking.k8s.io", Kind: "Ingress"},
	{Group: "scheduling.k8s.io", Kind: "PriorityClass"},
	{Group: "storage.k8s.io", Kind: "StorageClass"},
}

// Plain says whether a kind is healthy as soon as it exists.
func Plain(gk schema.GroupKind) bool { return slices.Contains(plain, gk) }

// Of tells one object's status.
func Of(o *unstructured.Unstructured) Status {
	r, err := status.Compute(o)
	if err != nil {
		return Status{Progressing, "its status cannot be read: " + err.Error()}
	}
	switch r.Status {
	case status.CurrentStatus:
		return Status{Healthy, ""}
	case status.FailedStatus:
		return Status{Failed, r.Message}
	case status.NotFoundStatus:
		return Status{Missing, r.Message}
	case status.TerminatingStatus:
		return Status{Progressing, "it is being deleted"}
	default:
		return Status{Progressing, r.Message}
	}
}

// Wait looks at the targets until each is healthy or has failed, or ctx ends,
// and returns the last status of each. Selector narrows the lists and may be
// empty. The error is only of the API: objects that are not healthy are none.
func (c *Checks) Wait(ctx context.Context, client dynamic.Interface, targets []Target, selector string) (map[objref.Ref]Status, error) {
	return c.watch(ctx, client, targets, selector, false)
}

// Look is Wait that is content with the first look at all targets.
func (c *Checks) Look(ctx context.Context, client dynamic.Interface, targets []Target, selector string) (map[objref.Ref]Status, error) {
	return c.watch(ctx, client, targets, selector, true)
}

func (c *Checks) watch(ctx context.Context, client dynamic.Interface, targets []Target, selector string, once bool) (map[objref.Ref]Status, error) {
	out := make(map[objref.Ref]Status, len(targets))
	left := make([]Target, 0, len(targets))
	for _, t := range targets {
		if gk := t.Ref.GroupKind(); Plain(gk) && !c.knows(gk) {
			out[t.Ref] = Status{State: Healthy}
			continue
		}
		out[t.Ref] = Status{State: Progressing, Message: "nobody has looked yet"}
		left = append(left, t)
	}
	for round := 1; len(left) > 0; round++ {
		err := c.look(ctx, client, left, selector, out)
		switch {
		case ctx.Err() != nil:
			return out, nil //nolint:nilerr // the end of the wait is no error
		case err != nil && !passing(err):
			return out, err
		case err == nil && once:
			return out, nil
		}
		left = slices.DeleteFunc(left, func(t Target) bool {
			return out[t.Ref].State == Healthy || out[t.Ref].State == Failed
		})
		if len(left) == 0 || !retry.Sleep(ctx, pauses.Backoff(round)) {
			break
		}
	}
	return out, nil
}

func passing(err error) bool {
	var status apierrors.APIStatus
	return !errors.As(err, &status) || apierrors.IsTooManyRequests(err) || apierrors.IsServiceUnavailable(err) ||
		apierrors.IsTimeout(err) || apierrors.IsServerTimeout(err) || apierrors.IsInternalError(err) || apierrors.IsNotFound(err)
}

// look lists each kind of the targets once, in all their namespaces at once where
// that is allowed.
func (c *Checks) look(ctx context.Context, client dynamic.Interface, targets []Target, selector string, out map[objref.Ref]Status) error {
	byResource := map[schema.GroupVersionResource][]Target{}
	for _, t := range targets {
		byResource[t.Resource] = append(byResource[t.Resource], t)
	}
	for gvr, ts := range byResource {
		namespaces := spaces(ts)
		err := errWide
		if len(namespaces) > 1 {
			err = c.list(ctx, client, gvr, "", selector, ts, out)
		}
		if errors.Is(err, errWide) || apierrors.IsForbidden(err) {
			for _, ns := range namespaces {
				if err = c.list(ctx, client, gvr, ns, selector, ts, out); err != nil {
					break
				}
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// errWide: not listed across namespaces.
var errWide = errors.New("one namespace only")

func spaces(ts []Target) []string {
	var out []string
	for _, t := range ts {
		if !slices.Contains(out, t.Ref.Namespace) {
			out = append(out, t.Ref.Namespace)
		}
	}
	return out
}

func (c *Checks) list(ctx context.Context, client dynamic.Interface, gvr schema.GroupVersionResource, namespace, selector string, ts []Target, out map[objref.Ref]Status) error {
	wanted := make(map[[2]string]objref.Ref, len(ts))
	for _, t := range ts {
		if namespace == "" || t.Ref.Namespace == namespace {
			wanted[[2]string{t.Ref.Namespace, t.Ref.Name}] = t.Ref
		}
	}
	opts := metav1.ListOptions{LabelSelector: selector, Limit: page}
	for {
		l, err := client.Resource(gvr).Namespace(namespace).List(ctx, opts)
		if err != nil {
			return err
		}
		for i := range l.Items {
			o := &l.Items[i]
			key := [2]string{o.GetNamespace(), o.GetName()}
			if ref, ok := wanted[key]; ok {
				out[ref] = c.Of(ctx, o)
				delete(wanted, key)
			}
		}
		if opts.Continue = l.GetContinue(); opts.Continue == "" {
			break
		}
	}
	for _, ref := range wanted {
		out[ref] = Status{State: Missing, Message: "it is gone"}
	}
	return nil
}
