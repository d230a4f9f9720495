package release

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"

	"helm.sh/helm/v3/pkg/kube"
	"helm.sh/helm/v3/pkg/releaseutil"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/resource"
	"sigs.k8s.io/yaml"

	"github.com/towline/towline/services/runner/internal/apply/fields"
	"github.com/towline/towline/services/runner/internal/apply/objref"
)

// part is one document of a manifest.
type part struct {
	file    string // in the chart
	head    string // Kind name, of what cannot be built
	objects kube.ResourceList
	err     error
}

// parts are the documents of a manifest in their order.
func (r *run) parts(manifest string) ([]part, error) {
	docs := releaseutil.SplitManifests(manifest)
	if len(docs) > maxTried {
		return nil, fmt.Errorf("%w: more than %d objects", ErrLimit, maxTried)
	}
	names := slices.Collect(maps.Keys(docs))
	sort.Sort(releaseutil.BySplitManifestsOrder(names))
	c, ok := r.config.KubeClient.(*client)
	if !ok {
		return nil, fmt.Errorf("unexpected client %T", r.config.KubeClient)
	}
	var out []part
	for _, name := range names {
		text := docs[name]
		p := part{}
		if source, ok := strings.CutPrefix(text, "# Source: "); ok {
			source, _, _ = strings.Cut(source, "\n")
			p.file = inChart(source)
		}
		p.objects, p.err = c.build(bytes.NewBufferString(text), false)
		if isNewKind(p.err) {
			p.err = errNewKind
		}
		if p.err != nil {
			p.head = headOf(text)
		}
		if p.err != nil || len(p.objects) > 0 {
			out = append(out, p)
		}
	}
	return out, nil
}

// headOf names what cannot be built.
func headOf(text string) string {
	var head struct {
		Kind     string `json:"kind"`
		Metadata struct {
			Name string `json:"name"`
		} `json:"metadata"`
	}
	_ = yaml.Unmarshal([]byte(text), &head) // the error says more
	return strings.TrimSpace(head.Kind + " " + head.Metadata.Name)
}

// inChart is the path of a template without the name of its chart.
func inChart(source string) string {
	_, file, _ := strings.Cut(source, "/")
	return file
}

func isNewKind(err error) bool {
	return err != nil && (meta.IsNoMatchError(err) || strings.Contains(err.Error(), "no matches for kind"))
}

func refOf(o *resource.Info) objref.Ref {
	kind := o.Mapping.GroupVersionKind
	return objref.Ref{Group: kind.Group, Kind: kind.Kind, Namespace: o.Namespace, Name: o.Name}
}

// trier asks the server what would become of objects.
type trier struct {
	*run

	drift   bool // the content is the same: only what others changed is put right
	ignores []fields.CompiledRule
	tasks   []func() []Trial
	count   int
}

// add has an object tried. before is the one of the last revision, nil if it had
// none.
func (t *trier) add(object, before *resource.Info, file string) {
	t.count++
	t.tasks = append(t.tasks, func() []Trial {
		trial := Trial{Ref: refOf(object), File: file}
		trial.Err = t.try(&trial, object, before)
		return []Trial{trial}
	})
}

// manifest has the objects of a new revision tried, and looks for those that it
// does not have any more.
func (t *trier) manifest(text string, before kube.ResourceList) error {
	parts, err := t.parts(text)
	if err != nil {
		return err
	}
	var target kube.ResourceList
	for _, p := range parts {
		if p.err != nil {
			kind, name, _ := strings.Cut(p.head, " ")
			trial := Trial{Ref: objref.Ref{Kind: kind, Name: name}, File: p.file, Err: p.err}
			t.tasks = append(t.tasks, func() []Trial { return []Trial{trial} })
		}
		for _, object := range p.objects {
			if err := own(object, t.spec.Name, t.spec.Namespace); err != nil {
				return err
			}
			t.add(object, before.Get(object), p.file)
		}
		target = append(target, p.objects...)
	}
	for _, object := range before.Difference(target) {
		t.count++
		t.tasks = append(t.tasks, func() []Trial { return t.leave(object) })
	}
	if t.count > maxTried {
		return fmt.Errorf("%w: more than %d objects", ErrLimit, maxTried)
	}
	return nil
}

// crds has the CRDs of the chart tried, as far as a run touches them.
func (t *trier) crds() error {
	if t.spec.CRDs == CRDSkip {
		return nil
	}
	for _, crd := range t.chart.CRDObjects() {
		parts, err := t.parts(string(crd.File.Data))
		if err != nil {
			return fmt.Errorf("CRD %s: %w", crd.Filename, err)
		}
		for _, p := range parts {
			if p.err != nil {
				return fmt.Errorf("CRD %s: %w", crd.Filename, p.err)
			}
			for _, object := range p.objects {
				t.count++
				t.tasks = append(t.tasks, func() []Trial {
					trial := Trial{Ref: refOf(object), File: inChart(crd.Filename)}
					trial.Err = t.tryCRD(&trial, object)
					return []Trial{trial}
				})
			}
		}
	}
	return nil
}

// all tries, several objects at a time. The trials are in the order of the
// objects.
func (t *trier) all(ctx context.Context) (out []Trial, err error) {
	if t.ignores, err = fields.Compile(t.spec.Drift.Ignore); err != nil {
		return nil, err
	}
	found := make([][]Trial, len(t.tasks))
	abreast(len(t.tasks), func(i int) {
		if ctx.Err() == nil {
			found[i] = t.tasks[i]()
		}
	})
	return slices.Concat(found...), context.Cause(ctx)
}

// dry is a helper that changes nothing.
func dry(object *resource.Info) *resource.Helper {
	return resource.NewHelper(object.Client, object.Mapping).WithFieldManager(kube.ManagedFieldsManager).DryRun(true)
}

func (t *trier) try(trial *Trial, object, before *resource.Info) error {
	wanted, err := plain(object.Object, nil)
	if err != nil {
		return err
	}
	live, err := plain(dry(object).Get(object.Namespace, object.Name))
	switch {
	case object.Name == "" || apierrors.IsNotFound(err):
		return t.tryNew(trial, object, wanted)
	case err != nil:
		return err
	}
	trial.Before = live
	if t.drift && live.GetDeletionTimestamp() != nil {
		trial.After = live
		return nil
	}
	if t.spec.Force && !t.drift {
		trial.After, err = plain(dry(object).Replace(object.Namespace, object.Name, true, object.Object))
		return t.settle(trial, err)
	}
	from, base := live, live
	if before != nil {
		if from, err = plain(before.Object, nil); err != nil {
			return err
		}
		base = from
	}
	if t.drift {
		if left := fields.PathsFor(t.ignores, trial.Ref); len(left) > 0 {
			wanted = wanted.DeepCopy()
			fields.Keep(wanted.Object, live.Object, left)
		}
		from, base = wanted, live
	}
	patch, kind, err := patchTowards(object, versions{before: from, wanted: wanted, base: base, live: live})
	if err != nil {
		return fmt.Errorf("compare: %w", err)
	}
	if string(patch) == "{}" {
		trial.After = live
		return nil
	}
	trial.After, err = plain(dry(object).Patch(object.Namespace, object.Name, kind, patch, nil))
	return t.settle(trial, err)
}

// tryNew tries what does not exist. In a namespace that the run would make first
// the server can try nothing.
func (t *trier) tryNew(trial *Trial, object *resource.Info, wanted *unstructured.Unstructured) (err error) {
	if t.drift && deletesItself(wanted) {
		return nil
	}
	trial.After, err = plain(dry(object).Create(object.Namespace, true, object.Object))
	if apierrors.IsNotFound(err) && t.spec.CreateNamespace && object.Namespace == t.spec.Namespace {
		trial.After, err = wanted, nil
	}
	return err
}

func (t *trier) tryCRD(trial *Trial, object *resource.Info) error {
	live, err := plain(dry(object).Get("", object.Name))
	switch {
	case apierrors.IsNotFound(err):
		trial.After, err = plain(dry(object).Create("", true, object.Object))
		return err
	case err != nil:
		return err
	}
	trial.Before, trial.After = live, live
	if t.spec.CRDs == CRDCreateReplace {
		trial.After, err = plain(dry(object).Replace("", object.Name, true, object.Object))
		return t.settle(trial, err)
	}
	return nil
}

// settle finds out whether an answer differs from what is there.
func (t *trier) settle(trial *Trial, err error) error {
	if err != nil {
		trial.After = nil
		return err
	}
	if len(differences(substance(trial.Before), substance(trial.After))) == 0 {
		trial.After = trial.Before
	}
	return nil
}

// leave looks at an object that a new revision does not have.
func (t *trier) leave(object *resource.Info) []Trial {
	trial := Trial{Ref: refOf(object)}
	live, err := plain(dry(object).Get(object.Namespace, object.Name))
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		trial.Err = err
	default:
		trial.Before, trial.Kept = live, live.GetAnnotations()[kube.ResourcePolicyAnno] == kube.KeepPolicy
	}
	return []Trial{trial}
}

// plain is an answer of the server, or what is sent to it.
func plain(o runtime.Object, err error) (*unstructured.Unstructured, error) {
	if err != nil {
		return nil, err
	}
	u, ok := o.(*unstructured.Unstructured)
	if !ok {
		return nil, errors.New("it is of an unexpected type")
	}
	return u, nil
}
