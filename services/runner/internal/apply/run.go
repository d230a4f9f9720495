package apply

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/towline/towline/services/runner/internal/apply/fields"
	"github.com/towline/towline/services/runner/internal/apply/health"
	"github.com/towline/towline/services/runner/internal/apply/inventory"
	"github.com/towline/towline/services/runner/internal/apply/kinds"
	"github.com/towline/towline/services/runner/internal/apply/manifests"
	"github.com/towline/towline/services/runner/internal/apply/objref"
)

// saveTimeout bounds the last save of a run whose context has ended.
const saveTimeout = 15 * time.Second

// run is one call of Apply.
type run struct {
	engine *Engine
	opts   Options
	rules  []fields.CompiledRule
	checks *health.Checks
	kinds  *kinds.Table
	inv    *inventory.Inventory

	items    []*item // the set, in its order
	gone     []*item // what has left it
	byRef    map[objref.Ref]*item
	held     map[objref.Ref]bool // faulty objects: they have not left the set
	faults   []manifests.Fault
	unlisted map[string][]string // of inv.Unnamed, what could not be listed
	blind    bool                // some fault hides which object was meant
	stopped  atomic.Bool
	because  string // why the run is incomplete

	mu sync.Mutex // of inv.Records while workers run
}

// item is one object of the set, or one that has left it.
type item struct {
	object   manifests.Object
	ref      objref.Ref
	resource kinds.Resource
	needs    []objref.Ref
	ignored  []fields.Path
	digest   string
	phase    int

	live   *live       // nil when it does not exist
	unsure error       // may not be read
	spared string      // why it is not replaced
	unseen error       // of a look whether it is gone
	holds  *objref.Ref // what is to stay, and would go with it
	apply  bool
	result Result
	since  time.Time // of its definition: when it was applied
	// lookAs is how the object is read: in a version that is served already.
	lookAs kinds.Resource
}

// live is what matters of an object in the cluster.
type live struct {
	uid       types.UID
	version   string // resource version
	owner     string // the inventory its annotation names
	part      string // the ApplySet its label names
	deleting  bool
	keep      bool // an annotation forbids deleting it
	stays     []string
	owned     string // digest of what we own
	dependsOn string
	managed   []metav1.ManagedFieldsEntry
}

func newRun(e *Engine, opts Options) (*run, error) {
	rules, err := fields.Compile(opts.Ignore)
	if err != nil {
		return nil, err
	}
	checks, err := health.Compile(opts.Health.Rules)
	if err != nil {
		return nil, err
	}
	return &run{engine: e, opts: opts, rules: rules, checks: checks, byRef: map[objref.Ref]*item{}, held: map[objref.Ref]bool{}, unlisted: map[string][]string{}}, nil
}

// errFaults ends a run that faults have stopped; it is no error of the run.
var errFaults = errors.New("the set has faults")

func (r *run) do(ctx context.Context, set Set) error {
	err := r.prepare(ctx, set)
	if errors.Is(err, errFaults) {
		r.because = "nothing was changed: the set has faults"
		return nil
	}
	if err != nil {
		return err
	}
	r.decide()
	if r.opts.DryRun == DryRunClient {
		r.foretell(ctx)
		return nil
	}
	if r.opts.DryRun == DryRunNone && r.opts.Invalid == InvalidStopsAll && !r.tryAll(ctx) {
		r.because = "nothing was changed: the API server refuses an object"
		return nil
	}
	return r.change(ctx)
}

// prepare learns everything that a run needs to know before it changes
// anything.
func (r *run) prepare(ctx context.Context, set Set) error {
	var err error
	if r.kinds, err = r.engine.kinds(); err != nil {
		return err
	}
	r.plan(set)
	if len(r.faults) > 0 && r.opts.Invalid != InvalidSkips {
		return errFaults
	}
	if r.inv, err = inventory.Load(ctx, r.engine.core, r.opts.Inventory); err != nil {
		return err
	}
	r.digestAll()
	r.departed()
	return r.survey(ctx)
}

// change carries the decisions out.
func (r *run) change(ctx context.Context) (err error) {
	dry := r.opts.DryRun == DryRunServer
	if !dry && r.pending() {
		if err := r.ground(ctx); err != nil {
			return err
		}
		if err := r.saveBefore(ctx); err != nil {
			return err
		}
	}
	if !dry {
		defer func() { err = errors.Join(err, r.saveAfter(ctx)) }()
	}
	r.applyAll(ctx)
	if err := r.await(ctx); err != nil {
		return err
	}
	r.prune(ctx)
	if ctx.Err() != nil {
		return fmt.Errorf("the run was stopped: %w", context.Cause(ctx))
	}
	return nil
}

// pending says whether there is anything to do, or to write down.
func (r *run) pending() bool {
	for _, it := range r.items {
		if it.apply {
			return true
		}
	}
	return len(r.gone) > 0
}

// saveBefore writes down everything that is about to exist and to go. What is
// about to be applied loses its record: until the run has ended nobody knows
// what it looks like.
func (r *run) saveBefore(ctx context.Context) error {
	for _, it := range r.items {
		if it.apply {
			r.inv.Records[it.ref] = inventory.Record{Held: r.inv.Records[it.ref].Held}
		}
	}
	for _, it := range r.gone {
		if it.result.Action == Pruned {
			continue // its kind is gone
		}
		if _, known := r.inv.Records[it.ref]; !known || !r.opts.Prune.Off && !r.blind {
			r.inv.Records[it.ref] = inventory.Record{Held: true, Deleting: true}
		}
	}
	err := r.inv.Save(ctx, Manager)
	if errors.Is(err, inventory.ErrTooLarge) {
		return r.saveWithout(ctx)
	}
	return err
}

// saveWithout writes the inventory down without the names of what is certainly
// not there yet: when a large set moves, old and new names do not fit together.
// If the run dies, the next one finds it by its label.
func (r *run) saveWithout(ctx context.Context) error {
	var unnamed []objref.Ref
	r.inv.Unnamed = maps.Clone(r.unlisted)
	for _, it := range r.items {
		if !it.apply || it.live != nil || it.unsure != nil || r.inv.Records[it.ref].Held {
			continue
		}
		unnamed = append(unnamed, it.ref)
		delete(r.inv.Records, it.ref)
		kind := it.ref.GroupKind().String()
		if !slices.Contains(r.inv.Unnamed[kind], it.ref.Namespace) {
			r.inv.Unnamed[kind] = append(r.inv.Unnamed[kind], it.ref.Namespace)
		}
	}
	err := r.inv.Save(ctx, Manager)
	for _, ref := range unnamed {
		r.inv.Records[ref] = inventory.Record{}
	}
	return err
}

// saveAfter writes down what is there, also when ctx has ended.
func (r *run) saveAfter(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
	defer cancel()
	r.inv.Unnamed = r.unlisted // all that has been found and made has a record
	for _, it := range r.items {
		if r.neverMade(it) {
			r.forget(it.ref)
		}
	}
	return r.inv.Save(ctx, Manager)
}

// neverMade says whether an object is certainly not there: it was not before,
// and the API server has refused it or was not asked. An answer that did not
// arrive is no such certainty.
func (r *run) neverMade(it *item) bool {
	if !it.apply || it.live != nil || r.inv.Records[it.ref].Held {
		return false
	}
	switch it.result.Action {
	case "", Skipped:
		return true
	case Failed:
		return it.result.Reason != ReasonAPI
	default:
		return false
	}
}

func (r *run) record(ref objref.Ref, rec inventory.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.inv.Records[ref] = rec
}

func (r *run) recordOf(ref objref.Ref) inventory.Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.inv.Records[ref]
}

func (r *run) forget(ref objref.Ref) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.inv.Records, ref)
}

func (r *run) finish() Report {
	rep := Report{Faults: r.faults, Incomplete: r.because}
	if r.inv != nil {
		rep.Inventory = r.inv.Name()
	}
	for _, it := range append(r.items[:len(r.items):len(r.items)], r.gone...) {
		res := it.result
		res.Object, res.Origin = it.ref, it.object.Origin
		if res.Action == "" {
			res.Action, res.Reason, res.Message = Skipped, ReasonStopped, "the run ended before its turn"
		}
		rep.Results = append(rep.Results, res)
	}
	return rep
}

// each calls f for all items, with a bound on how many at once, until ctx ends.
func each[T any](ctx context.Context, workers int, items []T, f func(T)) {
	next := make(chan T)
	var wg sync.WaitGroup
	for range min(workers, len(items)) {
		wg.Go(func() {
			for it := range next {
				f(it)
			}
		})
	}
	for _, it := range items {
		select {
		case next <- it:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(next)
	wg.Wait()
}
