package inventory

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	typedcore "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/towline/towline/services/runner/internal/apply/objref"
	"github.com/towline/towline/services/runner/internal/apply/transient"
)

// Labels and annotations of cli-utils and of kubectl's ApplySets.
const (
	// LabelID marks an inventory; its value is the inventory's id.
	LabelID = "cli-utils.sigs.k8s.io/inventory-id"
	// AnnotationOwner on an object names the inventory it belongs to.
	AnnotationOwner = "config.k8s.io/owning-inventory"
	// LabelPartOf on an object names the ApplySet it belongs to.
	LabelPartOf = "applyset.kubernetes.io/part-of"

	// annotationEntry on an inventory names the entry that it is of.
	annotationEntry = "towline.dev/entry"
	// annotationUnnamed on an inventory is Inventory.Unnamed.
	annotationUnnamed    = "towline.dev/unnamed"
	labelApplySet        = "applyset.kubernetes.io/id"
	annotationTooling    = "applyset.kubernetes.io/tooling"
	annotationKinds      = "applyset.kubernetes.io/contains-group-kinds"
	annotationNamespaces = "applyset.kubernetes.io/additional-namespaces"
	tooling              = "towline/v1"
)

// maxBytes is what fits into a ConfigMap, with room for its metadata.
const maxBytes = 1<<20 - 16<<10

// Errors of loading and saving.
var (
	// ErrTooLarge: the set has more objects than an inventory can name.
	ErrTooLarge = errors.New("the inventory does not fit into a ConfigMap; make several entries of the set")
	// ErrChanged: somebody else has written the inventory since it was loaded.
	ErrChanged = errors.New("the inventory was changed by somebody else meanwhile; is the same entry applied twice at once?")
)

// Record is what is known of one object. The zero value belongs to an object
// that may exist and that has to be looked at.
type Record struct {
	// Desired and Owned are digests: of what was applied, and of the fields that
	// we owned afterwards.
	Desired, Owned string
	// Held means that the object was ours once, whatever it is now.
	Held bool
	// Deleting means that the object has left the set and is still there.
	Deleting bool
	// Health is what is known of the object since it was applied.
	Health Health
}

// Health says whether an object has to be waited for, in cli-utils' words.
type Health string

// Healths. The zero value is of an object that was healthy when it was waited
// for, or that nobody wanted to wait for.
const (
	Awaited Health = "Pending" // no wait for it has come to its end
	Overdue Health = "Timeout" // waited for in vain
)

// healthOf reads what cli-utils calls reconcile.
func healthOf(word string) Health {
	switch word {
	case "Pending":
		return Awaited
	case "Timeout", "Failed":
		return Overdue
	}
	return ""
}

// succeeded is what cli-utils calls an object that was applied.
const succeeded = "Succeeded"

// value is a record as cli-utils has it, and two fields of ours.
type value struct {
	Actuation string `json:"actuation,omitempty"`
	Strategy  string `json:"strategy,omitempty"`
	Reconcile string `json:"reconcile,omitempty"`
	Desired   string `json:"desired,omitempty"`
	Owned     string `json:"owned,omitempty"`
}

// Inventory is a loaded inventory. It is not safe for concurrent use.
type Inventory struct {
	ID      string
	Records map[objref.Ref]Record
	// Unnamed are the kinds, as Kind.group, and namespaces of objects that may be
	// there and have no record, for there was no room for all of them.
	Unnamed map[string][]string

	entry  string
	client typedcore.ConfigMapInterface
	object *corev1.ConfigMap // as last read or written
	exists bool
}

// Place says where an inventory is kept.
type Place struct {
	ID        string // the value of LabelID
	Name      string // of the ConfigMap; empty means inventory-<ID>
	Namespace string
	// Entry is whose inventory it is; empty does not say.
	Entry string
}

// Load reads an inventory. One that is missing is empty.
func Load(ctx context.Context, core typedcore.CoreV1Interface, p Place) (*Inventory, error) {
	if p.Name == "" {
		p.Name = "inventory-" + p.ID
	}
	client := core.ConfigMaps(p.Namespace)
	cm, err := find(ctx, client, p)
	if err != nil {
		return nil, fmt.Errorf("inventory %s/%s: %w", p.Namespace, p.Name, err)
	}
	i := &Inventory{ID: p.ID, Records: map[objref.Ref]Record{}, entry: p.Entry, client: client, object: cm, exists: cm != nil}
	if cm == nil {
		i.object = &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: p.Name, Namespace: p.Namespace, Labels: map[string]string{LabelID: p.ID}}}
		return i, nil
	}
	if of := cm.Annotations[annotationEntry]; of != "" && p.Entry != "" && of != p.Entry {
		return nil, fmt.Errorf("inventory %s/%s is of the entry %s: two entries with one inventory would delete each other's objects; give each its own (label %s), or, if %s stands in the place of %[3]s now, kubectl annotate configmap -n %[1]s %[2]s %[6]s-",
			cm.Namespace, cm.Name, of, LabelID, p.Entry, annotationEntry)
	}
	if text := cm.Annotations[annotationUnnamed]; text != "" {
		if err := json.Unmarshal([]byte(text), &i.Unnamed); err != nil {
			return nil, fmt.Errorf("inventory %s/%s: annotation %s: %w; remove it", cm.Namespace, cm.Name, annotationUnnamed, err)
		}
	}
	for key, text := range cm.Data {
		ref, err := objref.ParseKey(key)
		if err != nil {
			return nil, fmt.Errorf("inventory %s/%s: %w; repair or remove this key", cm.Namespace, cm.Name, err)
		}
		var v value
		// Older inventories have no values, and name only what was applied.
		plain := json.Unmarshal([]byte(text), &v) != nil
		i.Records[ref] = Record{Desired: v.Desired, Owned: v.Owned, Held: plain || v.Actuation == succeeded, Deleting: v.Strategy == "Delete", Health: healthOf(v.Reconcile)}
	}
	return i, nil
}

func read(ctx context.Context, client typedcore.ConfigMapInterface, name string) (cm *corev1.ConfigMap, err error) {
	err = transient.Do(ctx, func() error {
		cm, err = client.Get(ctx, name, metav1.GetOptions{})
		return err
	})
	return cm, err
}

// find returns the ConfigMap by its name, or by its label as cli-utils does.
func find(ctx context.Context, client typedcore.ConfigMapInterface, p Place) (*corev1.ConfigMap, error) {
	cm, err := read(ctx, client, p.Name)
	switch {
	case err == nil:
		if id := cm.Labels[LabelID]; id != p.ID {
			return nil, fmt.Errorf("its label %s is %q, not %q; another ConfigMap has this name", LabelID, id, p.ID)
		}
		return cm, nil
	case !apierrors.IsNotFound(err):
		return nil, err
	}
	var list *corev1.ConfigMapList
	err = transient.Do(ctx, func() (err error) {
		list, err = client.List(ctx, metav1.ListOptions{LabelSelector: LabelID + "=" + p.ID})
		return err
	})
	switch {
	case apierrors.IsForbidden(err):
		return nil, nil // may read its own and no other: then there is none
	case err != nil:
		return nil, err
	case len(list.Items) == 0:
		return nil, nil
	case len(list.Items) > 1:
		var names []string
		for i := range list.Items {
			names = append(names, list.Items[i].Name)
		}
		return nil, fmt.Errorf("several ConfigMaps have the label %s=%s (%s); keep the one in use", LabelID, p.ID, strings.Join(names, ", "))
	}
	return &list.Items[0], nil
}

// Exists says whether the inventory is in the cluster.
func (i *Inventory) Exists() bool { return i.exists }

// Name is namespace/name of the ConfigMap.
func (i *Inventory) Name() string { return i.object.Namespace + "/" + i.object.Name }

// ConfigMap is the object that holds the inventory.
func (i *Inventory) ConfigMap() objref.Ref {
	return objref.Ref{Kind: "ConfigMap", Namespace: i.object.Namespace, Name: i.object.Name}
}

// ApplySet is the id that kubectl would give this inventory's ApplySet.
func (i *Inventory) ApplySet() string {
	sum := sha256.Sum256([]byte(i.object.Name + "." + i.object.Namespace + ".ConfigMap."))
	return "applyset-" + base64.RawURLEncoding.EncodeToString(sum[:]) + "-v1"
}

// Save writes the records, if that changes anything. It fails with ErrChanged
// when somebody else was faster, and with ErrTooLarge before it writes.
func (i *Inventory) Save(ctx context.Context, manager string) error {
	wanted, err := i.render()
	if err != nil {
		return fmt.Errorf("inventory %s: %w", i.Name(), err)
	}
	if i.exists && same(wanted, i.object) {
		return nil
	}
	var written *corev1.ConfigMap
	err = transient.Do(ctx, func() (err error) {
		if i.exists {
			written, err = i.client.Update(ctx, wanted, metav1.UpdateOptions{FieldManager: manager})
		} else {
			written, err = i.client.Create(ctx, wanted, metav1.CreateOptions{FieldManager: manager})
		}
		return err
	})
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
		// An answer that was lost, and a request that came again, look the same.
		if is, failed := read(ctx, i.client, i.object.Name); failed == nil && same(wanted, is) {
			written, err = is, nil
		}
	}
	switch {
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err), apierrors.IsNotFound(err) && i.exists:
		return fmt.Errorf("inventory %s: %w", i.Name(), ErrChanged)
	case err != nil:
		return fmt.Errorf("inventory %s: %w", i.Name(), err)
	}
	i.object, i.exists = written, true
	return nil
}

func same(a, b *corev1.ConfigMap) bool {
	return maps.Equal(a.Data, b.Data) && maps.Equal(a.Labels, b.Labels) && maps.Equal(a.Annotations, b.Annotations)
}

func (i *Inventory) render() (*corev1.ConfigMap, error) {
	cm := i.object.DeepCopy()
	cm.Data = make(map[string]string, len(i.Records))
	kinds, namespaces, size := map[string]bool{}, map[string]bool{}, 0
	for ref, r := range i.Records {
		v := value{Actuation: "Pending", Strategy: "Apply", Desired: r.Desired, Owned: r.Owned, Reconcile: string(r.Health)}
		if r.Deleting {
			v.Strategy = "Delete"
		}
		if r.Held {
			v.Actuation = succeeded
		}
		text, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		key := ref.Key()
		cm.Data[key] = string(text)
		size += len(key) + len(text)
		kinds[ref.GroupKind().String()] = true
		if ref.Namespace != "" && ref.Namespace != cm.Namespace {
			namespaces[ref.Namespace] = true
		}
	}
	if size > maxBytes {
		return nil, fmt.Errorf("%d objects: %w", len(i.Records), ErrTooLarge)
	}
	cm.Labels = with(cm.Labels, map[string]string{LabelID: i.ID, labelApplySet: i.ApplySet()})
	cm.Annotations = with(cm.Annotations, map[string]string{
		annotationTooling: tooling, annotationKinds: joined(kinds), annotationNamespaces: joined(namespaces),
	})
	if i.entry != "" {
		cm.Annotations[annotationEntry] = i.entry
	}
	delete(cm.Annotations, annotationUnnamed)
	if len(i.Unnamed) > 0 {
		text, err := json.Marshal(i.Unnamed)
		if err != nil {
			return nil, err
		}
		cm.Annotations[annotationUnnamed] = string(text)
	}
	return cm, nil
}

func with(have, more map[string]string) map[string]string {
	if have == nil {
		return more
	}
	maps.Copy(have, more)
	return have
}

func joined(set map[string]bool) string {
	return strings.Join(slices.Sorted(maps.Keys(set)), ",")
}
