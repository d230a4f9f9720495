package apply

import (
	"fmt"

	"github.com/towline/towline/services/runner/internal/apply/inventory"
)

// decide says of each object of the set whether it is left alone.
func (r *run) decide() {
	for _, it := range r.items {
		r.decideOne(it)
	}
}

func (r *run) decideOne(it *item) {
	rec := r.inv.Records[it.ref]
	same := it.digest != "" && rec.Desired == it.digest
	if it.unsure != nil && r.opts.Policy != AdoptAll {
		// It may be there, and somebody else's.
		it.result = Result{Action: Failed, Reason: ReasonForbidden, Message: shorten(it.unsure.Error()) + "; allow get, or nobody knows whose it is"}
		return
	}
	if it.live == nil {
		it.apply = true
		it.result.Drifted = same && it.unsure == nil
		return
	}
	if problem := r.foreign(it, rec.Held); problem != "" {
		it.result = Result{Action: Failed, Reason: ReasonNotOwned, Message: problem}
		return
	}
	if it.live.deleting {
		it.result = Result{
			Action: Failed, Reason: ReasonTerminating,
			Message: "it is being deleted" + waitsFor(it.live.stays) + "; it is made again by the first run after that",
		}
		return
	}
	intact := rec.Owned == it.live.owned && it.live.owner == r.inv.ID && it.live.part == r.inv.ApplySet()
	if same && intact {
		it.result.Action = Unchanged
		return
	}
	it.apply = true
	it.result.Drifted = same
}

// foreign says why an existing object may not be touched, empty if it may.
func (r *run) foreign(it *item, held bool) string {
	owner := it.live.owner
	switch {
	case owner == r.inv.ID:
		return ""
	case owner == "" && (held || r.opts.Policy != MustMatch):
		return "" // somebody took our mark off, or nobody owns it
	case owner == "":
		return fmt.Sprintf("it exists and belongs to no inventory (annotation %s); the inventory policy adopt_if_no_inventory takes it over", inventory.AnnotationOwner)
	case held:
		return fmt.Sprintf("inventory %s has taken it over, so it is left alone; keep the object in one of the two sets", owner)
	case r.opts.Policy == AdoptAll:
		return ""
	}
	return fmt.Sprintf("it belongs to inventory %s; keep the object in one of the two sets, or take it over with the inventory policy adopt_all", owner)
}

func waitsFor(finalizers []string) string {
	if len(finalizers) == 0 {
		return ""
	}
	return fmt.Sprintf(" and waits for %q (metadata.finalizers)", finalizers)
}
