package release

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"sync"

	"helm.sh/helm/v3/pkg/kube"
	apiextv1beta1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1beta1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	kubejson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/jsonmergepatch"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/cli-runtime/pkg/resource"

	"github.com/towline/towline/services/runner/internal/apply/fields"
)

const (
	maxDriftFields = 5      // named of one object
	maxCompares    = 5      // of one object that is changed all the time
	maxSeen        = 20_000 // objects that are remembered as unchanged
)

// seen remembers what the server has said to be no change, for as long as
// neither side changes. It may be used by several goroutines.
type seen struct {
	mu    sync.Mutex
	known map[types.UID]string
}

func (s *seen) has(uid types.UID, state string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known[uid] == state
}

func (s *seen) add(uid types.UID, state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil || len(s.known) >= maxSeen {
		s.known = map[types.UID]string{}
	}
	s.known[uid] = state
}

// comparison compares objects of a release with the cluster.
type comparison struct {
	ignores []fields.CompiledRule
	correct bool
	seen    *seen
}

// compare returns what is different, nil if nothing is. An object that somebody
// changes meanwhile is compared again.
func (c *comparison) compare(object *resource.Info) (change *Change, err error) {
	for range maxCompares {
		if change, err = c.compareOnce(object); !apierrors.IsConflict(err) {
			break
		}
	}
	return change, err
}

func (c *comparison) compareOnce(object *resource.Info) (*Change, error) {
	name := objectName(object)
	helper := resource.NewHelper(object.Client, object.Mapping).WithFieldManager(kube.ManagedFieldsManager)
	got, err := helper.Get(object.Namespace, object.Name)
	if apierrors.IsNotFound(err) {
		return c.missing(helper, object)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	live, ok := got.(*unstructured.Unstructured)
	wanted, isToo := object.Object.(*unstructured.Unstructured)
	if !ok || !isToo {
		return nil, fmt.Errorf("%s: unexpected types %T and %T", name, got, object.Object)
	}
	if live.GetDeletionTimestamp() != nil {
		return nil, nil //nolint:nilnil // it is being deleted; once it is gone it is missing
	}
	if left := fields.PathsFor(c.ignores, refOf(object)); len(left) > 0 {
		wanted = wanted.DeepCopy()
		fields.Keep(wanted.Object, live.Object, left)
	}
	patch, kind, err := patchTowards(object, versions{before: wanted, wanted: wanted, base: live, live: live})
	if err != nil {
		return nil, fmt.Errorf("%s: compare: %w", name, err)
	}
	if string(patch) == "{}" {
		return nil, nil //nolint:nilnil // no change
	}
	if patch, err = onlyFor(live, patch); err != nil {
		return nil, fmt.Errorf("%s: compare: %w", name, err)
	}
	return c.patched(helper, object, live, patch, kind)
}

// missing makes an object again that was deleted. Jobs that delete themselves
// have done their work.
func (c *comparison) missing(helper *resource.Helper, object *resource.Info) (*Change, error) {
	if u, ok := object.Object.(*unstructured.Unstructured); ok && deletesItself(u) {
		return nil, nil //nolint:nilnil // no change
	}
	change := &Change{Object: objectName(object), Missing: true}
	if !c.correct {
		return change, nil
	}
	if _, err := helper.Create(object.Namespace, true, object.Object); err != nil {
		return change, fmt.Errorf("%s: make it again: %w", change.Object, err)
	}
	change.Corrected = true
	return change, nil
}

func deletesItself(u *unstructured.Unstructured) bool {
	_, found, _ := unstructured.NestedFieldNoCopy(u.Object, "spec", "ttlSecondsAfterFinished")
	return found && u.GetKind() == "Job"
}

// patched asks the server what a patch would change: 1000m of CPU are stored as
// 1, and differ only in their spelling.
func (c *comparison) patched(
	helper *resource.Helper, object *resource.Info, live *unstructured.Unstructured, patch []byte, kind types.PatchType,
) (*Change, error) {
	sum := sha256.Sum256(patch)
	state := live.GetResourceVersion() + "/" + hex.EncodeToString(sum[:])
	if c.seen.has(live.GetUID(), state) {
		return nil, nil //nolint:nilnil // no change, as before
	}
	change := &Change{Object: objectName(object)}
	trial, err := dry(object).Patch(object.Namespace, object.Name, kind, patch, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: what others have changed cannot be undone: %w", change.Object, err)
	}
	after, ok := trial.(*unstructured.Unstructured)
	if !ok {
		return nil, fmt.Errorf("%s: unexpected type %T", change.Object, trial)
	}
	change.Fields = differences(substance(live), substance(after))
	if len(change.Fields) == 0 {
		c.seen.add(live.GetUID(), state)
		return nil, nil //nolint:nilnil // no change
	}
	if !c.correct {
		return change, nil
	}
	if _, err := helper.Patch(object.Namespace, object.Name, kind, patch, nil); err != nil {
		return change, fmt.Errorf("%s: %w", change.Object, err)
	}
	change.Corrected = true
	return change, nil
}

// versions are those of an object that a patch depends on: as it was sent the
// last time, as it is wanted, and as it is. base stands for the latter where
// Helm knows no schema of the kind: in an upgrade it then does not look.
type versions struct{ before, wanted, base, live *unstructured.Unstructured }

// patchTowards is what Helm would send.
func patchTowards(object *resource.Info, v versions) (patch []byte, kind types.PatchType, err error) {
	var texts [4][]byte
	for i, u := range []*unstructured.Unstructured{v.before, v.wanted, v.base, v.live} {
		if texts[i], err = json.Marshal(u); err != nil {
			return nil, "", err
		}
	}
	before, wanted, base, live := texts[0], texts[1], texts[2], texts[3]
	versioned := kube.AsVersioned(object)
	_, unknown := versioned.(runtime.Unstructured)
	_, old := versioned.(*apiextv1beta1.CustomResourceDefinition)
	if unknown || old {
		patch, err := jsonmergepatch.CreateThreeWayJSONMergePatch(before, wanted, base)
		return patch, types.MergePatchType, err
	}
	keys, err := strategicpatch.NewPatchMetaFromStruct(versioned)
	if err != nil {
		return nil, "", err
	}
	patch, err = strategicpatch.CreateThreeWayMergePatch(before, wanted, live, keys, true)
	return patch, types.StrategicMergePatchType, err
}

// onlyFor makes the server refuse a patch for an object that is not as it was
// compared. The answer would hold what others have changed since.
func onlyFor(live *unstructured.Unstructured, patch []byte) ([]byte, error) {
	var p map[string]any
	if err := kubejson.Unmarshal(patch, &p); err != nil { // whole numbers stay whole
		return nil, err
	}
	if err := unstructured.SetNestedField(p, live.GetResourceVersion(), "metadata", "resourceVersion"); err != nil {
		return nil, err
	}
	return json.Marshal(p)
}

// substance is an object without what the server keeps about it.
func substance(u *unstructured.Unstructured) map[string]any {
	out := maps.Clone(u.Object)
	delete(out, "status")
	if metadata, ok := out["metadata"].(map[string]any); ok {
		metadata = maps.Clone(metadata)
		for _, key := range []string{"managedFields", "resourceVersion", "generation"} {
			delete(metadata, key)
		}
		out["metadata"] = metadata
	}
	return out
}

// differences are the paths at which two objects differ, at most maxDriftFields.
func differences(a, b any) []string {
	var out []string
	var descend func(path string, a, b any)
	descend = func(path string, a, b any) {
		if len(out) >= maxDriftFields || reflect.DeepEqual(a, b) {
			return
		}
		switch one := a.(type) {
		case map[string]any:
			if other, ok := b.(map[string]any); ok {
				keys := maps.Clone(one)
				maps.Copy(keys, other)
				for _, key := range slices.Sorted(maps.Keys(keys)) {
					descend(path+"/"+key, one[key], other[key])
				}
				return
			}
		case []any:
			if other, ok := b.([]any); ok && len(one) == len(other) {
				for i := range one {
					descend(path+"/"+strconv.Itoa(i), one[i], other[i])
				}
				return
			}
		}
		out = append(out, path)
	}
	descend("", a, b)
	return out
}

// objectName is an object for people: Deployment shop/web.
func objectName(object *resource.Info) string {
	name := object.Name
	if object.Namespace != "" {
		name = object.Namespace + "/" + name
	}
	return object.Mapping.GroupVersionKind.Kind + " " + name
}
