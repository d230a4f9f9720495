package fields

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// maxNamed is how many fields one report names.
const maxNamed = 20

// Change is a field of ours that somebody else has, or had.
type Change struct {
	Field   string // .spec.replicas
	Manager string // empty when nobody owns it: it was removed
}

// String is the field and who has it.
func (c Change) String() string {
	if c.Manager == "" {
		return c.Field + " (removed)"
	}
	return c.Field + " (" + c.Manager + ")"
}

// Own returns what a manager has applied; nil is nothing.
func Own(entries []metav1.ManagedFieldsEntry, manager string) *metav1.ManagedFieldsEntry {
	for i := range entries {
		e := &entries[i]
		if e.Manager == manager && e.Operation == metav1.ManagedFieldsOperationApply && e.Subresource == "" {
			return e
		}
	}
	return nil
}

// Digest is a short fingerprint of what a manager owns, without the ignored
// paths. Its time is part of it: with it even a change under the manager's own
// name is seen. A nil entry has the empty digest.
func Digest(e *metav1.ManagedFieldsEntry, ignored []Path) string {
	if e == nil || e.FieldsV1 == nil {
		return ""
	}
	h := sha256.New()
	if e.Time != nil && len(ignored) == 0 {
		h.Write([]byte(e.Time.UTC().Format(time.RFC3339)))
	}
	if len(ignored) == 0 {
		h.Write(e.FieldsV1.GetRawBytes())
		return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:12])
	}
	set, err := parse(e)
	if err != nil {
		return ""
	}
	set.Iterate(func(p fieldpath.Path) {
		if !slices.ContainsFunc(ignored, func(i Path) bool { return i.covers(p) }) {
			h.Write([]byte(p.String() + "\n"))
		}
	})
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:12])
}

// Owns says whether an entry holds a field at or below one of the paths.
func Owns(e *metav1.ManagedFieldsEntry, paths []Path) bool {
	if e == nil {
		return false
	}
	set, err := parse(e)
	if err != nil {
		return false
	}
	found := false
	set.Iterate(func(p fieldpath.Path) {
		found = found || slices.ContainsFunc(paths, func(i Path) bool { return i.covers(p) })
	})
	return found
}

func parse(e *metav1.ManagedFieldsEntry) (*fieldpath.Set, error) {
	set := &fieldpath.Set{}
	if e == nil || e.FieldsV1 == nil {
		return set, nil
	}
	if err := set.FromJSON(e.FieldsV1.GetRawReader()); err != nil {
		return nil, fmt.Errorf("managed fields of %s: %w", e.Manager, err)
	}
	return set, nil
}

// Regained names the fields that a manager owns after an apply and did not own
// before, and who had them.
func Regained(before, after []metav1.ManagedFieldsEntry, manager string) []Change {
	was, err := parse(Own(before, manager))
	if err != nil {
		return nil
	}
	is, err := parse(Own(after, manager))
	if err != nil {
		return nil
	}
	var others []*fieldpath.Set
	var names []string
	for i := range before {
		if e := &before[i]; e.Manager != manager || e.Operation != metav1.ManagedFieldsOperationApply {
			if set, err := parse(e); err == nil {
				others, names = append(others, set), append(names, e.Manager)
			}
		}
	}
	var out []Change
	is.Difference(was).Leaves().Iterate(func(p fieldpath.Path) {
		if len(out) == maxNamed {
			return
		}
		c := Change{Field: p.String()}
		if i := slices.IndexFunc(others, func(s *fieldpath.Set) bool { return s.Has(p) }); i >= 0 {
			c.Manager = names[i]
		}
		out = append(out, c)
	})
	return out
}

var conflictWith = regexp.MustCompile(`^conflict with "((?:[^"\\]|\\.)*)"`)

// Conflicts reads who holds which fields from a refusal of the API server; none
// means that the error is another one.
func Conflicts(err error) []Change {
	status, ok := err.(apierrors.APIStatus)
	if !ok || !apierrors.IsConflict(err) || status.Status().Details == nil {
		return nil
	}
	var out []Change
	for _, c := range status.Status().Details.Causes {
		if c.Type != metav1.CauseTypeFieldManagerConflict || len(out) == maxNamed {
			continue
		}
		manager := c.Message
		if m := conflictWith.FindStringSubmatch(c.Message); m != nil {
			manager = strings.ReplaceAll(m[1], `\"`, `"`)
		}
		out = append(out, Change{Field: c.Field, Manager: manager})
	}
	return out
}

// predecessors are the managers that applied the same files before we did: their
// fields become ours on adoption, or what leaves the files would stay for ever.
var predecessors = map[string]metav1.ManagedFieldsOperationType{
	"agentk":                    metav1.ManagedFieldsOperationApply,
	"kustomize-controller":      metav1.ManagedFieldsOperationApply,
	"kubectl":                   metav1.ManagedFieldsOperationApply,
	"kubectl-client-side-apply": metav1.ManagedFieldsOperationUpdate,
	"before-first-apply":        metav1.ManagedFieldsOperationUpdate,
}

func predecessor(e *metav1.ManagedFieldsEntry) bool {
	op, known := predecessors[e.Manager]
	return known && op == e.Operation && e.Subresource == ""
}

// HasPredecessor says whether somebody applied the object before we did.
func HasPredecessor(entries []metav1.ManagedFieldsEntry) bool {
	return slices.ContainsFunc(entries, func(e metav1.ManagedFieldsEntry) bool { return predecessor(&e) })
}

// Inherit returns the entries with those of predecessors as manager's own.
func Inherit(entries []metav1.ManagedFieldsEntry, manager string) ([]metav1.ManagedFieldsEntry, error) {
	own, heir := &fieldpath.Set{}, metav1.ManagedFieldsEntry{}
	var out []metav1.ManagedFieldsEntry
	for i := range entries {
		e := entries[i]
		mine := e.Manager == manager && e.Operation == metav1.ManagedFieldsOperationApply && e.Subresource == ""
		if !mine && !predecessor(&e) {
			out = append(out, e)
			continue
		}
		set, err := parse(&e)
		if err != nil {
			return nil, err
		}
		own, heir = own.Union(set), e
	}
	raw, err := own.ToJSON()
	if err != nil {
		return nil, fmt.Errorf("managed fields of %s: %w", manager, err)
	}
	heir.Manager, heir.Operation = manager, metav1.ManagedFieldsOperationApply
	heir.FieldsV1 = metav1.NewFieldsV1(string(raw))
	return append(out, heir), nil
}
