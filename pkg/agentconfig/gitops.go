package agentconfig

import (
	"fmt"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // windows have time zones, and images have no files of them
)

// GitOps is the section gitops: what the cluster shall be kept equal to
// (agent-config sheet, sections 1.4 and 1.5). Old keys, defaults and checks are
// those of GitLab's agent before 17.0; the others are Towline's and stand in
// towline.yaml only.
type GitOps struct {
	Manifests []Manifests // charts come last
	// Written says that the section stands in a file, with or without entries. An
	// entry has been taken out only where the section is still there.
	Written bool
}

// GitRef is a version of a repository. The zero value is the head of the
// default branch.
type GitRef struct {
	Branch string `json:"branch,omitempty"`
	Tag    string `json:"tag,omitempty"`
	Commit string `json:"commit,omitempty"`
	// Semver is a range of versions; the tag with the highest one inside counts.
	Semver string `json:"semver,omitempty"`
}

// String names the version for people.
func (r GitRef) String() string {
	switch {
	case r.Branch != "":
		return "branch " + r.Branch
	case r.Tag != "":
		return "tag " + r.Tag
	case r.Commit != "":
		return "commit " + r.Commit
	case r.Semver != "":
		return "the newest tag in " + r.Semver
	}
	return "the default branch"
}

// Manifests is one entry of gitops.manifest_projects. Its JSON form travels
// from tunnel to runner.
type Manifests struct {
	Name    string `json:"name"`    // unique; the project's path unless given
	Project string `json:"project"` // full path
	Ref     GitRef `json:"ref"`
	// Globs choose files by doublestar's rules; they have no leading slash. None
	// are all files, for Kustomize.
	Globs            []string      `json:"globs"`
	DefaultNamespace string        `json:"default_namespace"`
	ReconcileTimeout time.Duration `json:"reconcile_timeout"`
	DryRun           string        `json:"dry_run"` // none, client, server
	Prune            bool          `json:"prune"`
	PruneTimeout     time.Duration `json:"prune_timeout"`
	PrunePropagation string        `json:"prune_propagation"` // orphan, background, foreground
	InventoryPolicy  string        `json:"inventory_policy"`  // must_match, adopt_if_no_inventory, adopt_all

	// Kustomize is the directory to build, "." for the root; empty applies
	// files as they are.
	Kustomize string `json:"kustomize,omitempty"`
	// Substitute are values for ${NAME} in the manifests.
	Substitute map[string]string `json:"substitute,omitempty"`
	// SubstituteFrom are objects of DefaultNamespace whose data is substituted;
	// later ones win, GitLab's variables over these, Substitute over all.
	SubstituteFrom []ValueSource `json:"substitute_from,omitempty"`
	// SubstituteGitLab are CI/CD variables of Project that are substituted; nil is
	// none.
	SubstituteGitLab *GitLabVariables `json:"substitute_gitlab,omitempty"`
	// DecryptSecret is the Secret of DefaultNamespace with the age keys for files
	// that SOPS has encrypted; empty decrypts none.
	DecryptSecret string `json:"decrypt_secret,omitempty"`
	// Signers are public keys, of SSH or OpenPGP; commits must be signed by one of
	// them. None takes every commit.
	Signers []string `json:"signers,omitempty"`
	// DependsOn are names of entries that must have succeeded first.
	DependsOn []string `json:"depends_on,omitempty"`
	Suspend   bool     `json:"suspend,omitempty"`
	// Windows are the only times at which the entry is synced; none is always.
	Windows []Window `json:"windows,omitempty"`
	// Interval is how often the cluster is compared without a new commit.
	Interval time.Duration `json:"interval"`
	// Namespaces are the only ones that may be written; none is what the
	// identity may do.
	Namespaces []string `json:"namespaces,omitempty"`
	AccessAs   AccessAs `json:"access_as"`
	// OnInvalid is what one invalid object means for the rest: stop,
	// check-first or skip.
	OnInvalid string `json:"on_invalid"`
	// OnConflict is take or fail: whether fields of other managers are taken.
	OnConflict string `json:"on_conflict"`
	// PruneWhen is healthy or applied.
	PruneWhen string   `json:"prune_when"`
	Replace   bool     `json:"replace,omitempty"`
	Ignore    []Ignore `json:"ignore,omitempty"`
	// Health are rules for kinds of which kstatus does not know when they are
	// healthy.
	Health []HealthRule `json:"health,omitempty"`
	// Jobs are projects, beside the source's own, whose jobs may have the entry
	// looked at and learn its state.
	Jobs []string `json:"jobs,omitempty"`
	// Environment is the environment of the source's project in GitLab that gets
	// a record of each deployment; empty is none.
	Environment string `json:"environment,omitempty"`
	// Chart is set for entries of gitops.charts; nil applies manifests.
	Chart *Chart `json:"chart,omitempty"`

	File         string `json:"-"`
	Line, Column int    `json:"-"`
	Key          string `json:"-"` // for example gitops.manifest_projects[1]
}

// String names the entry and its place.
func (m Manifests) String() string {
	return fmt.Sprintf("%s:%d: %s (%s)", m.File, m.Line, m.Key, m.Name)
}

// ValueSource is a ConfigMap or a Secret.
type ValueSource struct {
	Kind     string `json:"kind"`
	Name     string `json:"name"`
	Optional bool   `json:"optional,omitempty"`
}

// GitLabVariables names CI/CD variables of a project in GitLab.
type GitLabVariables struct {
	Names []string `json:"names"`
	// Environment is whose variables are meant; empty is those of all environments.
	Environment string `json:"environment,omitempty"`
}

// Substitutes says whether ${NAME} has a meaning in the manifests.
func (m Manifests) Substitutes() bool {
	return m.Substitute != nil || m.SubstituteFrom != nil || m.SubstituteGitLab != nil
}

// Ignore names fields that others may change.
type Ignore struct {
	Group     string   `json:"group,omitempty"`
	Kind      string   `json:"kind,omitempty"`
	Namespace string   `json:"namespace,omitempty"`
	Name      string   `json:"name,omitempty"`
	Paths     []string `json:"paths"`
}

// HealthRule says by expressions of CEL when objects of a kind are healthy.
type HealthRule struct {
	Group   string `json:"group,omitempty"`
	Kind    string `json:"kind"`
	Healthy string `json:"healthy"`
	Failed  string `json:"failed,omitempty"`
}

// Window is a part of some days.
type Window struct {
	Days     []string `json:"days,omitempty"` // mon to sun; none is each
	From, To string   // hh:mm; To at or before From is on the next day
	Zone     string   `json:"zone,omitempty"` // of the tz database; UTC
}

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// Open says whether t is inside the window.
func (w Window) Open(t time.Time) bool {
	zone, err := time.LoadLocation(w.Zone)
	if err != nil {
		return false // Parse has refused it
	}
	t = t.In(zone)
	now := t.Format("15:04")
	day := int(t.Weekday())
	if w.From < w.To {
		return w.on(day) && w.From <= now && now < w.To
	}
	return w.on(day) && now >= w.From || w.on((day+len(weekdays)-1)%len(weekdays)) && now < w.To
}

func (w Window) on(day int) bool {
	return len(w.Days) == 0 || slices.Contains(w.Days, weekdays[day])
}

// OpenAt says whether the entry may be synced at t.
func (m Manifests) OpenAt(t time.Time) bool {
	return len(m.Windows) == 0 || slices.ContainsFunc(m.Windows, func(w Window) bool { return w.Open(t) })
}

// Syncs are the entries of both files, those of config.yaml first, as In has
// them.
func (c *Config) Syncs(project string) GitOps {
	return GitOps{
		Manifests: slices.Concat(c.GitOps.Manifests, c.Towline.GitOps.Manifests), Written: c.GitOps.Written || c.Towline.GitOps.Written,
	}.In(project)
}

// In completes the entries that stand for the configuration project itself,
// whose full path is project. What follows a name that is taken is left out.
func (g GitOps) In(project string) GitOps {
	out := GitOps{Written: g.Written}
	for _, m := range g.Manifests {
		if m.Project == "" {
			m.Project = project
		}
		if m.Name == "" {
			m.Name = project
		}
		if _, taken := out.Find(m.Name); !taken {
			out.Manifests = append(out.Manifests, m)
		}
	}
	return out
}

// Find is the entry of that name.
func (g GitOps) Find(name string) (Manifests, bool) {
	for _, m := range g.Manifests {
		if strings.EqualFold(m.Name, name) {
			return m, true
		}
	}
	return Manifests{}, false
}
