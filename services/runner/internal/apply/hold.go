package apply

import (
	"context"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/towline/towline/services/runner/internal/apply/kinds"
	"github.com/towline/towline/services/runner/internal/apply/objref"
)

// lookInside finds objects that are to stay in what is about to be deleted. Those
// that left the set in an earlier run are known to nobody any more. What the
// identity may not list does not count.
func (r *run) lookInside(ctx context.Context) {
	type place struct {
		it    *item
		res   kinds.Resource
		space string
	}
	var places []place
	for _, it := range r.gone {
		switch {
		case it.live == nil || it.result.Action != "":
		case it.ref.GroupKind() == namespaces:
			for _, res := range r.kinds.Namespaced() {
				places = append(places, place{it, res, it.ref.Name})
			}
		case it.ref.GroupKind() == kinds.Definition:
			if res, ok := r.kinds.Named(it.ref.Name); ok {
				places = append(places, place{it, res, ""})
			}
		}
	}
	var mu sync.Mutex
	each(ctx, lookers, places, func(p place) {
		err := r.list(ctx, p.res, p.space, "", 0, func(o *metav1.PartialObjectMetadata) {
			if kept(o.Annotations) && o.DeletionTimestamp == nil {
				mu.Lock()
				defer mu.Unlock()
				p.it.holds = &objref.Ref{Group: p.res.Group, Kind: p.res.Kind, Namespace: o.Namespace, Name: o.Name}
			}
		})
		if err != nil && !apierrors.IsForbidden(err) && !apierrors.IsNotFound(err) && !apierrors.IsMethodNotSupported(err) {
			mu.Lock()
			defer mu.Unlock()
			p.it.unseen = err
		}
	})
}

// inside says what goes with an object when it is deleted: objects of a namespace
// go with it, and those of a kind with its definition. It is nil for others.
func (r *run) inside(it *item) func(objref.Ref, kinds.Resource) bool {
	switch it.ref.GroupKind() {
	case namespaces:
		return func(ref objref.Ref, _ kinds.Resource) bool { return ref.Namespace == it.ref.Name }
	case kinds.Definition:
		return func(_ objref.Ref, res kinds.Resource) bool {
			return res.Group != "" && res.Resource+"."+res.Group == it.ref.Name
		}
	}
	return nil
}

// holding is the result of an object that is kept because another one would go
// with it, and the zero one if there is none. What is to stay for good has its
// namespace and definition stay for good, too: once it is forgotten nobody
// would know.
func (r *run) holding(it *item, inside func(objref.Ref, kinds.Resource) bool) (res Result) {
	stays := func(ref objref.Ref) Result {
		return Result{Action: Kept, Reason: ReasonAnnotation, Message: "it holds " + ref.String() + ", which stays; delete it by hand when that has gone"}
	}
	if cm := r.inv.ConfigMap(); inside(cm, kinds.Resource{}) {
		return Result{Action: Kept, Reason: ReasonInUse, Message: "it holds the inventory"}
	}
	for ref, it := range r.byRef {
		if inside(ref, it.resource) {
			return Result{Action: Kept, Reason: ReasonInUse, Message: "it still holds " + ref.String()}
		}
	}
	for ref := range r.held {
		known, _ := r.kinds.Preferred(ref.GroupKind()) // of an unknown kind there is no definition
		if inside(ref, known) {
			return Result{Action: Kept, Reason: ReasonInUse, Message: "it still holds " + ref.String()}
		}
	}
	for _, other := range r.gone {
		switch {
		case !inside(other.ref, other.resource) || other.result.Action == Pruned:
		case other.result.Action == Kept && (other.result.Reason == ReasonAnnotation || other.result.Reason == ReasonNotOwned):
			return stays(other.ref)
		default:
			res = Result{Action: Kept, Reason: ReasonInUse, Message: "it still holds " + other.ref.String() + ", which has not been deleted"}
		}
	}
	switch {
	case res.Action != "":
	case it.holds != nil:
		return stays(*it.holds)
	case it.unseen != nil:
		return Result{Action: Failed, Reason: ReasonAPI, Message: "it cannot be seen what would go with it: " + shorten(it.unseen.Error()) + "; it is tried again with the next run"}
	}
	return res
}
