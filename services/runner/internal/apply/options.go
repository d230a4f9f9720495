package apply

import (
	"errors"
	"fmt"
	"path"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/towline/towline/services/runner/internal/apply/fields"
	"github.com/towline/towline/services/runner/internal/apply/health"
	"github.com/towline/towline/services/runner/internal/apply/inventory"
	"github.com/towline/towline/services/runner/internal/apply/manifests"
)

// Manager is the field manager of everything the engine applies, for ever:
// another name would leave fields behind that nobody removes.
const Manager = "towline"

// Defaults of Options.
const (
	DefaultNamespace = "default"
	DefaultWorkers   = 32
)

// Set is what a cluster should hold.
type Set struct {
	Objects []manifests.Object
	// Faults is what could not be read. While it has any, nothing is deleted: an
	// object nobody could read has not left the set.
	Faults []manifests.Fault
}

// Policy says which objects that exist already may be touched. It compares the
// annotation config.k8s.io/owning-inventory.
type Policy string

// Policies. In each an object that this inventory owned and another one has
// taken is left to that one: two sets never fight.
const (
	MustMatch          Policy = "must_match"            // own ones only; the default
	AdoptIfNoInventory Policy = "adopt_if_no_inventory" // and those of nobody
	AdoptAll           Policy = "adopt_all"             // and those of others
)

// InvalidPolicy says what one invalid object means for the rest.
type InvalidPolicy string

// Policies for invalid objects.
const (
	// InvalidStops: a fault found here stops the run before any change, a
	// refusal of the API server stops what has not been sent yet. The default.
	InvalidStops InvalidPolicy = "stop"
	// InvalidStopsAll: what is to be changed is tried first (a server-side dry
	// run), so that nothing changes when one object is refused.
	InvalidStopsAll InvalidPolicy = "check-first"
	// InvalidSkips: the rest is applied.
	InvalidSkips InvalidPolicy = "skip"
)

// DryRun says how far a run goes. A dry run writes nothing, the inventory
// neither.
type DryRun string

// Dry runs.
const (
	DryRunNone   DryRun = "none"
	DryRunClient DryRun = "client" // decides, sends nothing
	DryRunServer DryRun = "server" // has the API server try
)

// Prune says what happens to objects that have left the set.
type Prune struct {
	Off         bool
	Propagation metav1.DeletionPropagation // foreground when empty
	// Timeout is how long deletions are waited for; 0 deletes without waiting.
	// What is still there then stays in the inventory.
	Timeout time.Duration
	// AfterHealthy deletes only once everything applied is healthy. It is looked
	// at for that with a Health.Timeout of 0, too.
	AfterHealthy bool
}

// Health says how long a run waits for what it has applied, and for what earlier
// runs have applied and not seen healthy. Timeout 0 does not wait.
type Health struct {
	Timeout time.Duration
	// Rules say when objects of some kinds are healthy; kstatus says it of the
	// others.
	Rules []health.Rule
}

// Options of one run.
type Options struct {
	// DefaultNamespace is for namespaced objects without one.
	DefaultNamespace string
	// Namespaces are the only ones that may be written to, as patterns
	// (path.Match). Empty means any, and cluster-scoped objects as well; with
	// patterns the only cluster-scoped objects are matching Namespaces.
	Namespaces []string
	// Inventory is where the inventory is. An object of the set with the label
	// cli-utils.sigs.k8s.io/inventory-id replaces it. An empty Namespace is
	// DefaultNamespace.
	Inventory inventory.Place
	Policy    Policy
	Invalid   InvalidPolicy
	// Strict refuses objects with unknown or duplicate fields; otherwise they
	// are warnings.
	Strict bool
	// YieldOnConflict fails an object when another manager holds a field of it
	// with another value; otherwise the field is taken back, and reported.
	YieldOnConflict bool
	Ignore          []fields.Rule
	// Replace deletes and makes again what cannot be changed in place
	// (immutable fields), if its replacement would be valid and nothing forbids
	// deleting it: see AnnotationReplace.
	Replace bool
	Prune   Prune
	Health  Health
	DryRun  DryRun
	Workers int // requests at once; DefaultWorkers when 0
	// KeepObjects puts the objects before and after into the results of a
	// server-side dry run.
	KeepObjects bool
}

func (o Options) checked() (Options, error) {
	if o.DefaultNamespace == "" {
		o.DefaultNamespace = DefaultNamespace
	}
	if o.Inventory.Namespace == "" {
		o.Inventory.Namespace = o.DefaultNamespace
	}
	if o.Policy == "" {
		o.Policy = MustMatch
	}
	if o.Invalid == "" {
		o.Invalid = InvalidStops
	}
	if o.DryRun == "" {
		o.DryRun = DryRunNone
	}
	if o.Workers <= 0 {
		o.Workers = DefaultWorkers
	}
	if o.Prune.Propagation == "" {
		o.Prune.Propagation = metav1.DeletePropagationForeground
	}
	if o.Inventory.ID == "" {
		return o, errors.New("the inventory has no id")
	}
	for _, p := range o.Namespaces {
		if _, err := path.Match(p, ""); err != nil {
			return o, fmt.Errorf("namespaces: %q is not a pattern", p)
		}
	}
	return o, o.words()
}

// words checks the settings that are words.
func (o Options) words() error {
	switch o.Policy {
	case MustMatch, AdoptIfNoInventory, AdoptAll:
	default:
		return fmt.Errorf("inventory policy %q: must_match, adopt_if_no_inventory or adopt_all", o.Policy)
	}
	switch o.Invalid {
	case InvalidStops, InvalidStopsAll, InvalidSkips:
	default:
		return fmt.Errorf("policy for invalid objects %q: stop, check-first or skip", o.Invalid)
	}
	switch o.DryRun {
	case DryRunNone, DryRunClient, DryRunServer:
	default:
		return fmt.Errorf("dry run %q: none, client or server", o.DryRun)
	}
	switch o.Prune.Propagation {
	case metav1.DeletePropagationForeground, metav1.DeletePropagationBackground, metav1.DeletePropagationOrphan:
	default:
		return fmt.Errorf("prune propagation policy %q: foreground, background or orphan", o.Prune.Propagation)
	}
	return nil
}

// allows says whether objects of a namespace may be written.
func (o Options) allows(namespace string) bool {
	if len(o.Namespaces) == 0 {
		return true
	}
	for _, p := range o.Namespaces {
		if ok, err := path.Match(p, namespace); ok && err == nil {
			return true
		}
	}
	return false
}
