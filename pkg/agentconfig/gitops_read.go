package agentconfig

import (
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/towline/towline/pkg/strictyaml"
)

func readOwnGitOps(t *Towline, v *strictyaml.Value) (faults strictyaml.Faults) {
	t.GitOps, faults = readGitOps(t.File, v)
	return faults
}

// readGitOps takes over a checked section.
func readGitOps(file string, v *strictyaml.Value) (GitOps, strictyaml.Faults) {
	g := GitOps{Written: v != nil}
	var faults strictyaml.Faults
	for _, e := range v.Get("manifest_projects").Items() {
		m, f := readManifests(file, e)
		g.Manifests = append(g.Manifests, m)
		faults = append(faults, f...)
	}
	for _, e := range v.Get("charts").Items() {
		m, f := readChart(file, e)
		if _, taken := g.Find(m.Name); taken {
			f = append(f, e.Fault("a second release "+m.Name, "give it another release_name or namespace"))
		}
		g.Manifests = append(g.Manifests, m)
		faults = append(faults, f...)
	}
	return g, append(faults, g.related(v)...)
}

func readManifests(file string, v *strictyaml.Value) (Manifests, strictyaml.Faults) {
	m := Manifests{
		Project: strings.Trim(v.Get("id").Text(), "/"), Ref: readRef(v.Get("ref")),
		DefaultNamespace: or(v.Get("default_namespace").Text(), "default"),
		DryRun:           or(v.Get("dry_run_strategy").Text(), "none"),
		Prune:            v.Get("prune") == nil || v.Get("prune").Bool(),
		PrunePropagation: or(v.Get("prune_propagation_policy").Text(), "foreground"),
		InventoryPolicy:  or(v.Get("inventory_policy").Text(), "must_match"),
		Signers:          v.Get("verify").Get("signers").Texts(),
		DecryptSecret:    v.Get("decrypt").Get("secret").Text(),
		DependsOn:        v.Get("depends_on").Texts(), Suspend: v.Get("suspend").Bool(),
		Namespaces: v.Get("namespaces").Texts(), AccessAs: syncAs(v.Get("access_as")),
		OnInvalid: or(v.Get("on_invalid").Text(), "stop"), OnConflict: or(v.Get("on_conflict").Text(), "take"),
		PruneWhen: or(v.Get("prune_when").Text(), "applied"), Replace: v.Get("replace").Bool(),
		File: file, Key: v.Path(),
	}
	m.Line, m.Column = v.Place()
	m.Name = or(v.Get("name").Text(), m.Project)
	for _, p := range v.Get("paths").Items() {
		m.Globs = append(m.Globs, strings.TrimPrefix(p.Get("glob").Text(), "/"))
	}
	if k := v.Get("kustomize"); k != nil {
		m.Kustomize, m.Globs = path.Clean(strings.TrimPrefix(or(k.Get("path").Text(), "."), "/")), nil
		for _, g := range k.Get("files").Texts() {
			m.Globs = append(m.Globs, strings.TrimPrefix(g, "/"))
		}
	} else if len(m.Globs) == 0 {
		m.Globs = []string{DefaultGlob}
	}
	m.readLists(v)
	m.readAudience(v)
	var faults strictyaml.Faults
	read := func(key string, def, least time.Duration) time.Duration {
		d, f := readDuration(v.Get(key), def, least)
		faults = append(faults, f...)
		return d
	}
	m.ReconcileTimeout = read("reconcile_timeout", DefaultTimeout, 0)
	m.PruneTimeout = read("prune_timeout", DefaultTimeout, 0)
	m.Interval = read("interval", DefaultInterval, minInterval)
	if v.Get("kustomize") != nil && v.Get("paths") != nil {
		faults = append(faults, v.Get("paths").Fault("stands beside kustomize", "keep one: files as they are, or a directory that kustomize builds"))
	}
	return m, faults
}

func (m *Manifests) readLists(v *strictyaml.Value) {
	for _, w := range v.Get("windows").Items() {
		m.Windows = append(m.Windows, Window{Days: w.Get("days").Texts(), From: w.Get("from").Text(), To: w.Get("to").Text(), Zone: w.Get("zone").Text()})
	}
	for _, i := range v.Get("ignore").Items() {
		m.Ignore = append(m.Ignore, Ignore{
			Group: i.Get("group").Text(), Kind: i.Get("kind").Text(), Namespace: i.Get("namespace").Text(), Name: i.Get("name").Text(), Paths: i.Get("paths").Texts(),
		})
	}
	for _, h := range v.Get("health").Items() {
		m.Health = append(m.Health, HealthRule{Group: h.Get("group").Text(), Kind: h.Get("kind").Text(), Healthy: h.Get("healthy").Text(), Failed: h.Get("failed").Text()})
	}
	for _, p := range v.Get("substitute").Get("vars").Pairs() {
		if m.Substitute == nil {
			m.Substitute = map[string]string{}
		}
		m.Substitute[p.Name] = p.Value.Text()
	}
	for _, s := range v.Get("substitute").Get("from").Items() {
		m.SubstituteFrom = append(m.SubstituteFrom, ValueSource{Kind: s.Get("kind").Text(), Name: s.Get("name").Text(), Optional: s.Get("optional").Bool()})
	}
	if g := v.Get("substitute").Get("gitlab"); g != nil {
		m.SubstituteGitLab = &GitLabVariables{Names: g.Get("variables").Texts(), Environment: g.Get("environment").Text()}
	}
}

// syncAs is access_as of a sync. Without one a sync acts as itself.
func syncAs(v *strictyaml.Value) AccessAs {
	switch {
	case v.Get("agent") != nil:
		return AccessAs{Mode: AsAgent}
	case v.Get("impersonate") != nil:
		return AccessAs{Mode: AsImpersonate, Impersonate: fixedIdentity(v.Get("impersonate"))}
	default:
		return AccessAs{Mode: AsGitOps}
	}
}

func readRef(v *strictyaml.Value) GitRef {
	return GitRef{Branch: v.Get("branch").Text(), Tag: v.Get("tag").Text(), Commit: v.Get("commit").Text(), Semver: v.Get("semver").Text()}
}

func or(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

// readDuration reads seconds within bounds.
func readDuration(v *strictyaml.Value, def, least time.Duration) (time.Duration, strictyaml.Faults) {
	if v == nil {
		return def, nil
	}
	d, err := time.ParseDuration(v.Text())
	if err != nil || d < least || d > MaxDuration {
		return def, strictyaml.Faults{v.Fault("is out of bounds", "write "+seconds(least)+" to "+seconds(MaxDuration))}
	}
	return d, nil
}

func seconds(d time.Duration) string { return strconv.Itoa(int(d/time.Second)) + "s" }

// related finds what is wrong between entries.
func (g *GitOps) related(v *strictyaml.Value) strictyaml.Faults {
	var faults strictyaml.Faults
	list := slices.Concat(v.Get("manifest_projects").Items(), v.Get("charts").Items())
	names := map[string]bool{}
	for i, m := range g.Manifests {
		if name := strings.ToLower(m.Name); m.Chart != nil {
			names[name] = true
		} else if names[name] {
			faults = append(faults, list[i].Fault("a second entry with the name "+strconv.Quote(m.Name), perEntry))
		} else {
			names[name] = true
		}
	}
	for i, m := range g.Manifests {
		for _, d := range m.DependsOn {
			if !names[strings.ToLower(d)] {
				faults = append(faults, list[i].Get("depends_on").Fault("there is no entry with the name "+strconv.Quote(d), "name an entry of manifest_projects, or a release as namespace/release_name"))
			}
		}
		if g.circular(m.Name, m.Name, map[string]bool{}) {
			faults = append(faults, list[i].Get("depends_on").Fault("entries depend on each other in a circle", "remove one of the dependencies"))
		}
	}
	return faults
}

// circular says whether goal is among what name depends on.
func (g *GitOps) circular(name, goal string, seen map[string]bool) bool {
	if seen[name] {
		return false
	}
	seen[name] = true
	m, _ := g.Find(name)
	for _, d := range m.DependsOn {
		if strings.EqualFold(d, goal) || g.circular(d, goal, seen) {
			return true
		}
	}
	return false
}
