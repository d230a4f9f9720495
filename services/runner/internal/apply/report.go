package apply

import (
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/towline/towline/services/runner/internal/apply/fields"
	"github.com/towline/towline/services/runner/internal/apply/health"
	"github.com/towline/towline/services/runner/internal/apply/manifests"
	"github.com/towline/towline/services/runner/internal/apply/objref"
)

// Action is what became of an object.
type Action string

// Actions. In a dry run they say what would become of it.
const (
	Created    Action = "created"
	Configured Action = "configured"
	Replaced   Action = "replaced" // deleted and made again
	Unchanged  Action = "unchanged"
	Pruned     Action = "pruned"
	Kept       Action = "kept"    // has left the set and stays on purpose
	Skipped    Action = "skipped" // not tried, Message says why
	Failed     Action = "failed"
)

// Reason is why an object failed, was skipped or kept.
type Reason string

// Reasons.
const (
	ReasonInvalid     Reason = "invalid"     // the manifest must be repaired
	ReasonForbidden   Reason = "forbidden"   // the identity lacks a right
	ReasonNotOwned    Reason = "not-owned"   // the inventory policy leaves it alone
	ReasonConflict    Reason = "conflict"    // another manager holds a field
	ReasonImmutable   Reason = "immutable"   // cannot be changed in place
	ReasonProtected   Reason = "protected"   // nor deleted to be made again
	ReasonWebhook     Reason = "webhook"     // an admission webhook failed or refused
	ReasonTerminating Reason = "terminating" // it or its namespace is being deleted
	ReasonDependency  Reason = "dependency"  // what it depends on is not there
	ReasonStopped     Reason = "stopped"     // the run ended before its turn
	ReasonUnhealthy   Reason = "unhealthy"   // applied, but not healthy in time
	ReasonAnnotation  Reason = "annotation"  // an annotation asks for it
	ReasonInUse       Reason = "in-use"      // a namespace that is still needed
	ReasonAPI         Reason = "api"         // the API server failed otherwise
)

// Result is what became of one object.
type Result struct {
	Object objref.Ref
	Origin manifests.Origin // empty for objects that have left the set
	Action Action
	Reason Reason
	// Message says what happened and what to do. It holds no value of a Secret.
	Message string
	// Path is the field an invalid object is wrong in, as far as it is known.
	Path string
	// Drifted means that the object was not as the last run had left it although
	// the set had not changed; Drift names the fields, none when it was gone.
	Drifted bool
	Drift   []fields.Change
	// Conflicts are fields that other managers held with other values.
	Conflicts []fields.Change
	Warnings  []string // of the API server
	Health    health.Status

	Before, After *unstructured.Unstructured // with Options.KeepObjects
}

// Line is the result as one line for people.
func (r Result) Line() string {
	text := r.Object.String() + " " + string(r.Action)
	if at := r.Origin.String(); at != "" {
		text = at + ": " + text
	}
	if r.Path != "" {
		text += ": " + r.Path
	}
	if r.Message != "" {
		text += ": " + r.Message
	}
	return text
}

// Report is what a run came to.
type Report struct {
	// Results has one entry for each object: those of the set in its order, then
	// those that have left it.
	Results []Result
	// Faults are the manifests that are wrong as they stand.
	Faults []manifests.Fault
	// Incomplete says why the run ended before its time, empty if it did not.
	Incomplete string
	// Inventory is namespace/name of the inventory.
	Inventory string
}

// Count is how many objects had an action.
func (r *Report) Count(a Action) int {
	n := 0
	for i := range r.Results {
		if r.Results[i].Action == a {
			n++
		}
	}
	return n
}

// Drifted is how many objects had drifted.
func (r *Report) Drifted() int {
	n := 0
	for i := range r.Results {
		if r.Results[i].Drifted {
			n++
		}
	}
	return n
}

// Changed says whether the run changed anything.
func (r *Report) Changed() bool {
	return r.Count(Created)+r.Count(Configured)+r.Count(Replaced)+r.Count(Pruned) > 0
}

// Err is the first thing that is wrong, with how many more there are; nil when
// the cluster holds what the set says and is healthy.
func (r *Report) Err() error {
	var first string
	n := 0
	note := func(text string) {
		if n++; n == 1 {
			first = text
		}
	}
	for i := range r.Faults {
		note(r.Faults[i].Error())
	}
	for i := range r.Results {
		switch res := &r.Results[i]; {
		case res.Action == Failed, res.Reason == ReasonUnhealthy:
			note(res.Line())
		case res.Action == Skipped && res.Reason != ReasonStopped:
			note(res.Line())
		}
	}
	if n == 0 && r.Incomplete != "" {
		note(r.Incomplete)
	}
	switch n {
	case 0:
		return nil
	case 1:
		return errors.New(first)
	}
	return fmt.Errorf("%s (and %d more)", first, n-1)
}
