package release

import (
	"fmt"
	"path"
	"slices"
	"time"

	"helm.sh/helm/v3/pkg/chartutil"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/services/runner/internal/apply/fields"
)

// What a Spec means where it says nothing.
const (
	DefaultTimeout    = 5 * time.Minute
	DefaultMaxHistory = 1
)

// Spec is one release as it should be.
type Spec struct {
	// Name is the release's name, Namespace where it and its history are.
	Name, Namespace string
	Chart           Chart
	// Values are merged in order, map by map; later ones win.
	Values []Values
	// Namespaces are the only ones in which the chart may have objects, as patterns
	// (path.Match). Empty means any, and cluster-scoped objects as well; with
	// patterns there are no cluster-scoped objects, and no CRDs.
	Namespaces []string
	// Patches are applied to the rendered manifests, but not to hooks.
	Patches []Patch

	// MaxHistory is how many revisions are kept, as in helm --history-max; 0 is
	// DefaultMaxHistory. The deployed revision is kept in any case.
	MaxHistory int
	// CreateNamespace makes the namespace if it does not exist.
	CreateNamespace bool
	// Wait waits until the objects are ready; WaitForJobs waits for Jobs too.
	Wait, WaitForJobs bool
	// Atomic is Wait, and undoes what fails: OnFailure for a first installation is
	// RemedyUninstall, for an upgrade RemedyRollback.
	Atomic bool
	// Timeout bounds each action's waiting and hooks; 0 is DefaultTimeout.
	Timeout time.Duration
	CRDs    CRDPolicy
	// Force replaces objects in an upgrade or a rollback instead of patching them, as
	// helm upgrade --force does.
	Force   bool
	Install Remedy
	Upgrade Remedy
	Drift   Drift
	Test    Test
}

// Chart says where the chart is: exactly one of Directory and Repository.
type Chart struct {
	Directory  *Directory
	Repository *Repository
}

// Directory is a chart on disk, usually in a checkout.
type Directory struct {
	// Root is the checkout: links may lead anywhere inside it and nowhere else.
	Root string
	// Path is the chart's directory, relative to Root; empty is Root itself.
	Path string
}

// Repository is a chart in a repository.
type Repository struct {
	// URL is the repository's: https://... with an index.yaml, or oci://host/path
	// without the chart's name.
	URL string
	// Chart is the chart's name.
	Chart string
	// Version is a version or a range such as ~1.2; empty is the newest release.
	Version            string
	Username, Password agentconfig.Secret
	// CA is PEM of certificates to trust beside the system's.
	CA string
	// PlainHTTP speaks HTTP to an OCI registry.
	PlainHTTP bool
}

// Values are one source of values: exactly one of Inline, Text, ConfigMap and
// Secret.
type Values struct {
	// Source names the source in errors, for example "values[2] (file prod.yaml)".
	Source string
	// Inline are values as the configuration has them.
	Inline map[string]any
	// Text is YAML or JSON that the caller has read from a file or a URL.
	Text []byte
	// Confidential keeps the values of Inline and Text out of every message, as
	// those of Secrets are.
	Confidential      bool
	ConfigMap, Secret *Reference
}

// Reference is a ConfigMap or a Secret in the release's namespace.
type Reference struct {
	Name string
	// Key holds YAML or JSON; empty is values.yaml.
	Key string
	// Target is the dotted path of the one value that the key's text becomes
	// (ingress.host), instead of being YAML.
	Target string
	// Optional makes it no error if the object or the key does not exist.
	Optional bool
}

// Patch is a kustomize patch of what the chart renders.
type Patch struct {
	// Patch is a strategic merge patch or a JSON patch, as YAML.
	Patch string
	// Group, Version, Kind, Name, Namespace, Labels and Annotations choose the
	// objects. A strategic merge patch may name its object itself.
	Group, Version, Kind, Name, Namespace, Labels, Annotations string
}

// CRDPolicy says what becomes of the CRDs in a chart's crds directory.
type CRDPolicy string

// The policies. The zero value is CRDCreate.
const (
	CRDSkip          CRDPolicy = "skip"
	CRDCreate        CRDPolicy = "create"
	CRDCreateReplace CRDPolicy = "create-replace"
)

// RemedyAction is what undoes an action that has failed.
type RemedyAction string

// The remedies. The zero value is RemedyNone: a failed release stays as it is
// until the next attempt.
const (
	RemedyNone      RemedyAction = "none"
	RemedyUninstall RemedyAction = "uninstall"
	RemedyRollback  RemedyAction = "rollback"
)

// Remedy says what follows a failure of an installation or an upgrade.
type Remedy struct {
	OnFailure RemedyAction
	// Attempts is how often the same content is tried in all; 0 is again and again,
	// as often as the caller calls.
	Attempts int
}

// DriftMode says what becomes of objects that somebody has changed.
type DriftMode string

// The modes. The zero value is DriftOff.
const (
	DriftOff     DriftMode = "off"
	DriftReport  DriftMode = "report"
	DriftCorrect DriftMode = "correct"
)

// Drift says how a deployed release is compared with the cluster.
type Drift struct {
	Mode DriftMode
	// Ignore leaves fields of objects to others, as in the apply engine.
	Ignore []fields.Rule
}

// Test says whether a new revision's test hooks are run.
type Test struct {
	Enabled bool
	// Tolerate reports failed tests without calling the release failed.
	Tolerate bool
}

// SpecError says which key of a release is wrong.
type SpecError struct{ Release, Key, Problem string }

// Error implements error.
func (e *SpecError) Error() string {
	return fmt.Sprintf("release %s: %s: %s", e.Release, e.Key, e.Problem)
}

// ID is the release as people name it: namespace/name.
func (s *Spec) ID() string { return s.Namespace + "/" + s.Name }

func (s *Spec) fault(key, format string, args ...any) error {
	return &SpecError{Release: s.ID(), Key: key, Problem: fmt.Sprintf(format, args...)}
}

// complete returns the spec with defaults in place of what is not said, or the
// first fault.
func (s Spec) complete() (*Spec, error) {
	s.Values = slices.Clone(s.Values) // sources get names
	if s.Timeout == 0 {
		s.Timeout = DefaultTimeout
	}
	if s.MaxHistory == 0 {
		s.MaxHistory = DefaultMaxHistory
	}
	if s.CRDs == "" {
		s.CRDs = CRDCreate
	}
	if s.Drift.Mode == "" {
		s.Drift.Mode = DriftOff
	}
	if s.Atomic {
		s.Wait = true
		s.Install.OnFailure, s.Upgrade.OnFailure = RemedyUninstall, RemedyRollback
	}
	for _, r := range []*Remedy{&s.Install, &s.Upgrade} {
		if r.OnFailure == "" {
			r.OnFailure = RemedyNone
		}
	}
	return &s, s.check()
}

func (s *Spec) check() error {
	if err := chartutil.ValidateReleaseName(s.Name); err != nil {
		return s.fault("release_name", "%q is no name of a release: lower-case letters, digits, - and ., at most 53", s.Name)
	}
	if len(validation.IsDNS1123Label(s.Namespace)) > 0 {
		return s.fault("namespace", "%q is no name of a namespace", s.Namespace)
	}
	if (s.Chart.Directory == nil) == (s.Chart.Repository == nil) {
		return s.fault("source", "exactly one of a directory and a repository is needed")
	}
	if s.Chart.Repository != nil {
		if err := s.Chart.Repository.check(); err != nil {
			return s.fault("source.repository", "%v", err)
		}
	}
	if s.MaxHistory < 0 {
		return s.fault("max_history", "%d is not positive", s.MaxHistory)
	}
	if s.Timeout < 0 {
		return s.fault("timeout", "%s is not positive", s.Timeout)
	}
	for _, enum := range []struct {
		key, value string
		known      []string
	}{
		{"crds", string(s.CRDs), []string{string(CRDSkip), string(CRDCreate), string(CRDCreateReplace)}},
		{"install.on_failure", string(s.Install.OnFailure), []string{string(RemedyNone), string(RemedyUninstall)}},
		{"upgrade.on_failure", string(s.Upgrade.OnFailure), []string{string(RemedyNone), string(RemedyRollback), string(RemedyUninstall)}},
		{"drift.mode", string(s.Drift.Mode), []string{string(DriftOff), string(DriftReport), string(DriftCorrect)}},
	} {
		if !slices.Contains(enum.known, enum.value) {
			return s.fault(enum.key, "%q is none of %q", enum.value, enum.known)
		}
	}
	for _, p := range s.Namespaces {
		if _, err := path.Match(p, ""); err != nil {
			return s.fault("namespaces", "%q is not a pattern", p)
		}
	}
	if _, err := fields.Compile(s.Drift.Ignore); err != nil {
		return s.fault("drift", "%v", err)
	}
	for i := range s.Values {
		if err := s.checkValues(i); err != nil {
			return err
		}
	}
	return nil
}

func (s *Spec) checkValues(i int) error {
	v := &s.Values[i]
	if v.Source == "" {
		v.Source = fmt.Sprintf("values[%d]", i)
	}
	given := 0
	for _, has := range []bool{v.Inline != nil, v.Text != nil, v.ConfigMap != nil, v.Secret != nil} {
		if has {
			given++
		}
	}
	if given != 1 {
		return s.fault(v.Source, "exactly one of inline, text, a ConfigMap and a Secret is needed")
	}
	return nil
}
