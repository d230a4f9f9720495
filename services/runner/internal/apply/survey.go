package apply

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/towline/towline/services/runner/internal/apply/fields"
	"github.com/towline/towline/services/runner/internal/apply/inventory"
	"github.com/towline/towline/services/runner/internal/apply/kinds"
	"github.com/towline/towline/services/runner/internal/apply/objref"
	"github.com/towline/towline/services/runner/internal/apply/order"
	"github.com/towline/towline/services/runner/internal/apply/transient"
)

const (
	// lookers is how many lists are under way at once. They hardly work: the API
	// server has each wait until its cache has caught up with the store.
	lookers = 96
	// page is how many objects one list brings at most.
	page = 1000
	// listInstead is from how many unknown objects of one kind and namespace on
	// a list costs less than looking at each.
	listInstead = 4
	// maxPages of such a list; in a namespace with more, each object is looked
	// at.
	maxPages = 10
)

// Annotations that keep an object when it leaves the set.
const (
	annotationOnRemove = "cli-utils.sigs.k8s.io/on-remove"         // keep
	annotationDeletion = "client.lifecycle.config.k8s.io/deletion" // detach
)

func kept(annotations map[string]string) bool {
	return annotations[annotationOnRemove] == "keep" || annotations[annotationDeletion] == "detach"
}

var namespaces = schema.GroupKind{Kind: "Namespace"}

// group is what one list can tell about.
type group struct {
	resource kinds.Resource
	items    map[objref.Ref]*item
	spaces   []string
}

// survey finds out what is in the cluster: one list of metadata for each kind,
// narrowed to the objects of this inventory, and single looks at what it does
// not show.
func (r *run) survey(ctx context.Context) error {
	groups := r.groups()
	if r.inv.Exists() {
		unknown, err := r.listAll(ctx, groups)
		if err != nil {
			return err
		}
		return r.lookFor(ctx, unknown)
	}
	// Next to nothing of a new set can carry our label: each object is looked for,
	// while the lists find what a lost inventory has left.
	var all []*item
	for _, g := range groups {
		all = slices.AppendSeq(all, maps.Values(g.items))
		g.items = nil
	}
	var listed error
	var lists sync.WaitGroup
	lists.Go(func() { _, listed = r.listAll(ctx, groups) })
	looked := r.lookFor(ctx, all)
	lists.Wait()
	if listed != nil {
		return listed
	}
	return looked
}

// listAll lists each kind, and adds the strays to what is gone.
func (r *run) listAll(ctx context.Context, groups []*group) (unknown []*item, err error) {
	var mu sync.Mutex
	each(ctx, lookers, groups, func(g *group) {
		missing, strays, failed := r.listOwn(ctx, g)
		mu.Lock()
		defer mu.Unlock()
		if failed != nil && err == nil {
			err = failed
		}
		unknown = append(unknown, missing...)
		r.gone = append(r.gone, strays...)
	})
	if err == nil && ctx.Err() != nil {
		err = fmt.Errorf("the run was stopped: %w", context.Cause(ctx))
	}
	return unknown, err
}

// lookFor looks for objects of which a list by label says nothing. Namespaces
// first: in one that does not exist nothing has to be looked for.
func (r *run) lookFor(ctx context.Context, unknown []*item) error {
	spaces, others := part(unknown, func(it *item) bool { return it.ref.GroupKind() == namespaces })
	if err := r.lookAll(ctx, spaces); err != nil {
		return err
	}
	_, others = part(others, func(it *item) bool {
		ns := r.byRef[objref.Ref{Kind: "Namespace", Name: it.ref.Namespace}]
		return it.ref.Namespace != "" && ns != nil && ns.live == nil && ns.unsure == nil
	})
	return r.lookAll(ctx, others)
}

func part[T any](all []T, in func(T) bool) (yes, no []T) {
	for _, v := range all {
		if in(v) {
			yes = append(yes, v)
		} else {
			no = append(no, v)
		}
	}
	return yes, no
}

// groups sorts items by kind. Without an inventory, namespaces are always looked
// at: the one of the inventory may have been made by a run that died then.
func (r *run) groups() []*group {
	byResource := map[schema.GroupVersionResource]*group{}
	add := func(it *item) {
		if it.result.Action != "" || it.lookAs.Promised {
			return
		}
		g := byResource[it.lookAs.GroupVersionResource]
		if g == nil {
			g = &group{resource: it.lookAs, items: map[objref.Ref]*item{}}
			byResource[it.lookAs.GroupVersionResource] = g
		}
		g.items[it.ref] = it
		if !slices.Contains(g.spaces, it.ref.Namespace) {
			g.spaces = append(g.spaces, it.ref.Namespace)
		}
	}
	for _, it := range r.items {
		add(it)
	}
	for _, it := range r.gone {
		add(it)
	}
	r.addUnnamed(byResource)
	if !r.inv.Exists() {
		if ns, err := r.kinds.Preferred(namespaces); err == nil && byResource[ns.GroupVersionResource] == nil {
			byResource[ns.GroupVersionResource] = &group{resource: ns, items: map[objref.Ref]*item{}, spaces: []string{""}}
		}
	}
	var out []*group
	for _, g := range byResource {
		out = append(out, g)
	}
	return out
}

// addUnnamed adds what a run that died may have made without naming it.
func (r *run) addUnnamed(groups map[schema.GroupVersionResource]*group) {
	for name, spaces := range r.inv.Unnamed {
		res, err := r.kinds.Preferred(schema.ParseGroupKind(name))
		if errors.Is(err, kinds.ErrUnknown) {
			continue // its kind is gone, and with it every object
		}
		if err != nil {
			r.unlisted[name] = spaces
			continue
		}
		g := groups[res.GroupVersionResource]
		if g == nil {
			g = &group{resource: res, items: map[objref.Ref]*item{}}
			groups[res.GroupVersionResource] = g
		}
		for _, ns := range spaces {
			if !slices.Contains(g.spaces, ns) {
				g.spaces = append(g.spaces, ns)
			}
		}
	}
}

// listOwn lists the objects of a kind that carry this inventory's label. What is
// not among them is missing (or has lost its label); strays carry our marks and
// are neither in the set nor in the inventory, which happens when the inventory
// was lost.
func (r *run) listOwn(ctx context.Context, g *group) (missing, strays []*item, err error) {
	found := map[objref.Ref]bool{}
	see := func(o *metav1.PartialObjectMetadata) {
		ref := objref.Ref{Group: g.resource.Group, Kind: g.resource.Kind, Namespace: o.Namespace, Name: o.Name}
		found[ref] = true
		if it := g.items[ref]; it != nil {
			it.live = r.read(it, o)
		} else if stray := r.stray(ref, g.resource, o); stray != nil {
			strays = append(strays, stray)
		}
	}
	selector := inventory.LabelPartOf + "=" + r.inv.ApplySet()
	err = errNarrow
	if len(g.spaces) > 1 || !g.resource.Namespaced {
		err = r.list(ctx, g.resource, "", selector, 0, see)
	}
	if errors.Is(err, errNarrow) || apierrors.IsForbidden(err) && g.resource.Namespaced {
		for _, ns := range g.spaces {
			if err = r.list(ctx, g.resource, ns, selector, 0, see); err != nil && !apierrors.IsForbidden(err) {
				break
			}
		}
	}
	if err != nil && !apierrors.IsForbidden(err) && !apierrors.IsNotFound(err) {
		return nil, nil, fmt.Errorf("list %s: %w", g.resource.Resource, err)
	}
	for ref, it := range g.items {
		if !found[ref] {
			missing = append(missing, it)
		}
	}
	return missing, strays, nil
}

// errNarrow: not listed across namespaces.
var errNarrow = errors.New("one namespace only")

// errTooMany: more pages than a list may have.
var errTooMany = errors.New("too many objects")

func (r *run) list(ctx context.Context, res kinds.Resource, namespace, selector string, pages int, see func(*metav1.PartialObjectMetadata)) error {
	opts := metav1.ListOptions{LabelSelector: selector, Limit: page}
	for n := 1; ; n++ {
		var l *metav1.PartialObjectMetadataList
		err := transient.Do(ctx, func() (err error) {
			l, err = r.engine.meta.Resource(res.GroupVersionResource).Namespace(namespace).List(ctx, opts)
			return err
		})
		if err != nil {
			return err
		}
		for i := range l.Items {
			see(&l.Items[i])
		}
		if opts.Continue = l.Continue; opts.Continue == "" {
			return nil
		}
		if n == pages {
			return errTooMany
		}
	}
}

// read keeps what matters of an object's metadata.
func (r *run) read(it *item, o *metav1.PartialObjectMetadata) *live {
	l := &live{
		uid: o.UID, version: o.ResourceVersion, deleting: o.DeletionTimestamp != nil, stays: o.Finalizers,
		owner: o.Annotations[inventory.AnnotationOwner], part: o.Labels[inventory.LabelPartOf],
		keep:      kept(o.Annotations),
		dependsOn: o.Annotations[order.Annotation],
		owned:     fields.Digest(fields.Own(o.ManagedFields, Manager), it.ignored),
	}
	// What is as it was left needs no closer look; for thousands of objects that
	// is most of the memory.
	if rec := r.recordOf(it.ref); rec.Desired == "" || rec.Desired != it.digest || rec.Owned != l.owned {
		l.managed = o.ManagedFields
	}
	return l
}

// stray makes an item of an object that is marked as ours and unknown to the
// inventory: label, annotation and managed fields must all say so, because
// controllers copy labels.
func (r *run) stray(ref objref.Ref, res kinds.Resource, o *metav1.PartialObjectMetadata) *item {
	if r.byRef[ref] != nil || r.held[ref] || o.Annotations[inventory.AnnotationOwner] != r.inv.ID || fields.Own(o.ManagedFields, Manager) == nil {
		return nil
	}
	it := &item{ref: ref, resource: res, lookAs: res}
	it.live = r.read(it, o)
	return it
}

// lookAll finds out about objects that do not carry our label.
func (r *run) lookAll(ctx context.Context, items []*item) error {
	type place struct {
		res   schema.GroupVersionResource
		space string
	}
	byPlace := map[place][]*item{}
	for _, it := range items {
		p := place{it.lookAs.GroupVersionResource, it.ref.Namespace}
		byPlace[p] = append(byPlace[p], it)
	}
	var mu sync.Mutex
	var failed error
	var single []*item
	var places [][]*item
	for _, its := range byPlace {
		if len(its) < listInstead {
			single = append(single, its...)
		} else {
			places = append(places, its)
		}
	}
	each(ctx, lookers, places, func(its []*item) {
		if !r.lookByList(ctx, its) {
			mu.Lock()
			single = append(single, its...)
			mu.Unlock()
		}
	})
	each(ctx, lookers, single, func(it *item) {
		if err := r.look(ctx, it); err != nil {
			mu.Lock()
			failed = err
			mu.Unlock()
		}
	})
	if failed == nil && ctx.Err() != nil {
		return fmt.Errorf("the run was stopped: %w", context.Cause(ctx))
	}
	return failed
}

// lookByList looks at all objects of a kind in a namespace; false means that
// each has to be looked at.
func (r *run) lookByList(ctx context.Context, its []*item) bool {
	wanted := make(map[string]*item, len(its))
	for _, it := range its {
		wanted[it.ref.Name] = it
	}
	err := r.list(ctx, its[0].lookAs, its[0].ref.Namespace, "", maxPages, func(o *metav1.PartialObjectMetadata) {
		if it := wanted[o.Name]; it != nil {
			it.live = r.read(it, o)
		}
	})
	return err == nil
}

func (r *run) look(ctx context.Context, it *item) error {
	var o *metav1.PartialObjectMetadata
	err := transient.Do(ctx, func() (err error) {
		o, err = r.engine.meta.Resource(it.lookAs.GroupVersionResource).Namespace(it.ref.Namespace).Get(ctx, it.ref.Name, metav1.GetOptions{})
		return err
	})
	switch {
	case err == nil:
		it.live = r.read(it, o)
	case apierrors.IsNotFound(err):
		it.live = nil
	case apierrors.IsForbidden(err):
		it.unsure = err
	default:
		return fmt.Errorf("look at %s: %w", it.ref, err)
	}
	return nil
}
