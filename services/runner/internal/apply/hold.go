package apply

import (
	"github.com/towline/towline/services/runner/internal/apply/kinds"
	"github.com/towline/towline/services/runner/internal/apply/objref"
)

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
func (r *run) holding(inside func(objref.Ref, kinds.Resource) bool) (res Result) {
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
			return Result{Action: Kept, Reason: ReasonAnnotation, Message: "it holds " + other.ref.String() + ", which stays; delete it by hand when that has gone"}
		default:
			res = Result{Action: Kept, Reason: ReasonInUse, Message: "it still holds " + other.ref.String() + ", which has not been deleted"}
		}
	}
	return res
}
