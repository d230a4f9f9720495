package agentconfig

import (
	"strconv"
	"time"
)

// Chart is what an entry of gitops.charts adds: the entry is one of Manifests
// whose files are a chart, or values for a chart that a repository of charts has.
type Chart struct {
	Release    string           `json:"release"`
	Path       string           `json:"path,omitempty"`       // of the chart; "" is the repository's root
	Repository *ChartRepository `json:"repository,omitempty"` // instead of Path
	MaxHistory int              `json:"max_history"`
	Values     []ChartValues    `json:"values,omitempty"` // later ones win

	CreateNamespace bool `json:"create_namespace,omitempty"`
	// Wait and WaitForJobs wait until objects are ready and Jobs are done, within
	// Timeout; Atomic is Wait, and undoes what fails.
	Wait        bool          `json:"wait,omitempty"`
	WaitForJobs bool          `json:"wait_for_jobs,omitempty"`
	Atomic      bool          `json:"atomic,omitempty"`
	Timeout     time.Duration `json:"timeout"`
	CRDs        string        `json:"crds"` // skip, create, create-replace
	Install     ChartRemedy   `json:"install"`
	Upgrade     ChartRemedy   `json:"upgrade"`
	// Force replaces objects in an upgrade instead of patching them.
	Force bool `json:"force,omitempty"`
	// Tests are skip, report or require.
	Tests string `json:"tests"`
	// Drift is off, report or correct; Ignore of the entry are its exceptions.
	Drift   string       `json:"drift"`
	Patches []ChartPatch `json:"patches,omitempty"`
	// OnRemoval is keep or uninstall: what becomes of the release when the entry
	// leaves the configuration.
	OnRemoval string `json:"on_removal"`
}

// ChartRepository is a repository of charts: HTTP with an index.yaml, or an OCI
// registry.
type ChartRepository struct {
	URL     string `json:"url"`
	Chart   string `json:"chart"`
	Version string `json:"version,omitempty"` // or a range; "" is the newest release
	// Secret is the name of a Secret of the release's namespace with what the
	// repository wants to see.
	Secret string `json:"secret,omitempty"`
	// PlainHTTP speaks HTTP to an OCI registry.
	PlainHTTP bool `json:"plain_http,omitempty"`
}

// ChartRemedy is what follows a failure.
type ChartRemedy struct {
	OnFailure string `json:"on_failure"`         // none, uninstall, or for upgrades rollback
	Attempts  int    `json:"attempts,omitempty"` // of the same content; 0 is no limit
}

// ChartPatch is a kustomize patch of what a chart renders. What is empty of its
// target chooses nothing.
type ChartPatch struct {
	Patch       string `json:"patch"`
	Group       string `json:"group,omitempty"`
	Version     string `json:"version,omitempty"`
	Kind        string `json:"kind,omitempty"`
	Name        string `json:"name,omitempty"`
	Namespace   string `json:"namespace,omitempty"`
	Labels      string `json:"labels,omitempty"`
	Annotations string `json:"annotations,omitempty"`
}

// ChartValues is one source of values. Inline is YAML, File a path in a
// repository: in Project, or in the entry's own, at Ref if that is given or the
// project is another one. Exactly one of the sources is set.
type ChartValues struct {
	Inline    string     `json:"inline,omitempty"`
	File      string     `json:"file,omitempty"`
	Project   string     `json:"project,omitempty"`
	Ref       GitRef     `json:"ref,omitzero"`
	URL       *ValuesURL `json:"url,omitempty"`
	ConfigMap *ValuesKey `json:"config_map,omitempty"`
	Secret    *ValuesKey `json:"secret,omitempty"`
}

// Elsewhere says whether File is not among the files of the entry's own source.
func (v ChartValues) Elsewhere() bool { return v.Project != "" || v.Ref != (GitRef{}) }

// ValuesPrefix begins the paths of bundled values from elsewhere.
const ValuesPrefix = ".towline-values/"

// BundledValues is where a bundle holds the values from elsewhere that are the
// i-th of an entry.
func BundledValues(i int) string { return ValuesPrefix + strconv.Itoa(i) }

// ValuesURL is an address that answers with YAML or JSON.
type ValuesURL struct {
	URL     string `json:"url"`
	MaxSize int64  `json:"max_size"` // in bytes
}

// ValuesKey is a key of a ConfigMap or Secret of the release's namespace.
type ValuesKey struct {
	Name     string `json:"name"`
	Key      string `json:"key,omitempty"`    // "" is values.yaml
	Target   string `json:"target,omitempty"` // the value that the text becomes; "" reads it as values
	Optional bool   `json:"optional,omitempty"`
}
