package apply

import (
	"context"
	"errors"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/towline/towline/pkg/retry"
	"github.com/towline/towline/services/runner/internal/apply/kinds"
	"github.com/towline/towline/services/runner/internal/apply/objref"
)

// settling is how long the API server may go on to see the objects of a kind as
// they were defined before a change.
const settling = 5 * time.Second

// errUntried is what is said of an object that only the changed definition of
// its kind would take.
var errUntried = errors.New("not tried: its CustomResourceDefinition changes with the set")

// definition is the definition of an item's kind, nil if it is not in the set.
func (r *run) definition(it *item) *item {
	return r.byRef[objref.Ref{Group: kinds.Definition.Group, Kind: kinds.Definition.Kind, Name: it.resource.Resource + "." + it.resource.Group}]
}

// redefined is the definition of an item's kind if this run changes it first.
func (r *run) redefined(it *item) *item {
	if crd := r.definition(it); crd != nil && crd.apply && crd.phase < it.phase {
		return crd
	}
	return nil
}

// sendAgain sends an object again that is refused as the old definition of its
// kind would, until the new one must be known.
func (r *run) sendAgain(ctx context.Context, it, crd *item, refused error) (after *metav1.PartialObjectMetadata, err error) {
	if !misfit(refused) {
		return nil, refused
	}
	if r.opts.DryRun == DryRunServer {
		return nil, errUntried
	}
	ctx, cancel := context.WithDeadline(ctx, crd.since.Add(settling))
	defer cancel()
	err = refused
	serving.Loop(ctx, func(context.Context) retry.Result {
		o, again := r.send(ctx, it, false)
		if again != nil && (misfit(again) || ctx.Err() != nil) {
			return retry.Result{Outcome: retry.Failed}
		}
		after, err = o, again
		return retry.Result{Outcome: retry.Done}
	})
	return after, err
}

// misfit says whether an object is refused for what it holds.
func misfit(err error) bool {
	var status apierrors.APIStatus
	return apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) || errors.As(err, &status) && strings.HasPrefix(status.Status().Message, untyped)
}
