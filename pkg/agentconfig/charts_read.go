package agentconfig

import (
	"path"
	"slices"
	"strings"
	"time"

	"github.com/towline/towline/pkg/strictyaml"
)

// chartReader takes over a checked entry of gitops.charts.
type chartReader struct {
	entry  Manifests
	chart  *Chart
	faults strictyaml.Faults
}

func readChart(file string, v *strictyaml.Value) (Manifests, strictyaml.Faults) {
	c := &Chart{
		Release: v.Get("release_name").Text(), MaxHistory: 1, CreateNamespace: v.Get("create_namespace").Bool(),
		Wait: v.Get("wait").Bool(), WaitForJobs: v.Get("wait_for_jobs").Bool(), Atomic: v.Get("atomic").Bool(),
		CRDs: or(v.Get("crds").Text(), "create"), Install: readRemedy(v.Get("install")), Upgrade: readRemedy(v.Get("upgrade")),
		Force: v.Get("force").Bool(), Tests: or(v.Get("tests").Text(), "skip"), Drift: or(v.Get("drift").Text(), "off"),
		OnRemoval: or(v.Get("on_removal").Text(), "keep"),
	}
	r := &chartReader{chart: c, entry: Manifests{
		DefaultNamespace: or(v.Get("namespace").Text(), "default"), PruneTimeout: DefaultTimeout, Chart: c,
		Signers: v.Get("verify").Get("signers").Texts(), DependsOn: v.Get("depends_on").Texts(), Suspend: v.Get("suspend").Bool(), Namespaces: v.Get("namespaces").Texts(),
		AccessAs: syncAs(v.Get("access_as")), File: file, Key: v.Path(),
	}}
	r.entry.Name = r.entry.DefaultNamespace + "/" + c.Release
	r.entry.Line, r.entry.Column = v.Place()
	r.entry.readLists(v)
	r.entry.readAudience(v)
	if h := v.Get("max_history"); h != nil {
		c.MaxHistory = int(h.Int())
	}
	r.source(v.Get("source"))
	r.times(v)
	for _, item := range v.Get("values").Items() {
		r.values(item)
	}
	r.patches(v)
	r.contradictions(v)
	return r.entry, r.faults
}

func (r *chartReader) fault(at *strictyaml.Value, problem, remedy string) {
	if problem != "" {
		r.faults = append(r.faults, at.Fault(problem, remedy))
	}
}

// source reads where the chart is. Without a project the entry's files are those
// of the configuration project.
func (r *chartReader) source(v *strictyaml.Value) {
	if repo := v.Get("repository"); repo != nil {
		r.chart.Repository = &ChartRepository{
			URL: repo.Get("url").Text(), Chart: repo.Get("chart").Text(), Version: repo.Get("version").Text(),
			Secret: repo.Get("secret").Text(), PlainHTTP: repo.Get("plain_http").Bool(),
		}
		if r.chart.Repository.PlainHTTP && !strings.HasPrefix(r.chart.Repository.URL, ociScheme) {
			r.fault(repo.Get("plain_http"), "is for "+ociScheme+" addresses", "write the scheme into url: https:// or http://")
		}
		return
	}
	p := v.Get("project")
	r.entry.Project, r.entry.Ref = strings.Trim(p.Get("id").Text(), "/"), readRef(p.Get("ref"))
	r.chart.Path = strings.Trim(p.Get("path").Text(), "/")
	problem, remedy := checkDirectory(r.chart.Path)
	r.fault(p.Get("path"), problem, remedy)
}

// times reads durations. A grant for the sync lasts for all actions that one run
// may need.
func (r *chartReader) times(v *strictyaml.Value) {
	var f strictyaml.Faults
	r.entry.Interval, f = readDuration(v.Get("interval"), DefaultInterval, minInterval)
	r.faults = append(r.faults, f...)
	if r.chart.Timeout, f = readDuration(v.Get("timeout"), DefaultChartTimeout, time.Second); f != nil || r.chart.Timeout > maxChartTimeout {
		r.fault(v.Get("timeout"), "is out of bounds", "write 1s to "+seconds(maxChartTimeout))
	}
	const actions = 3 // an action, what undoes it, and its tests
	r.entry.ReconcileTimeout = max(DefaultTimeout, actions*r.chart.Timeout)
}

func (r *chartReader) values(item *strictyaml.Value) {
	switch {
	case item.Get("url") != nil:
		r.valuesURL(item.Get("url"))
	case item.Get("file") != nil:
		r.valuesFile(item)
	case item.Get("config_map") != nil:
		r.chart.Values = append(r.chart.Values, ChartValues{ConfigMap: readKey(item.Get("config_map"))})
	case item.Get("secret") != nil:
		r.chart.Values = append(r.chart.Values, ChartValues{Secret: readKey(item.Get("secret"))})
	default:
		r.chart.Values = append(r.chart.Values, ChartValues{Inline: string(item.Get("inline").YAML())})
	}
}

func (r *chartReader) valuesFile(item *strictyaml.Value) {
	f := item.Get("file")
	v := ChartValues{File: path.Clean(strings.TrimPrefix(f.Get("file").Text(), "/")), Ref: readRef(f.Get("ref"))}
	if project := strings.Trim(f.Get("project_id").Text(), "/"); !strings.EqualFold(project, r.entry.Project) {
		v.Project = project
	}
	problem, remedy := checkDirectory(f.Get("file").Text())
	r.fault(f.Get("file"), problem, remedy)
	r.chart.Values = append(r.chart.Values, v)
}

// valuesURL reads an address. It is looked at whenever the cluster is compared,
// which is why the entry's interval is no longer than its poll_period.
func (r *chartReader) valuesURL(v *strictyaml.Value) {
	u := &ValuesURL{URL: v.Get("url").Text(), MaxSize: defaultValuesSize}
	if m := v.Get("max_file_size"); m != nil {
		u.MaxSize = m.Int()
	}
	poll, f := readDuration(v.Get("poll_period"), defaultPoll, time.Second)
	r.faults = append(r.faults, f...)
	r.entry.Interval = min(r.entry.Interval, max(poll, minInterval))
	r.chart.Values = append(r.chart.Values, ChartValues{URL: u})
}

func readKey(v *strictyaml.Value) *ValuesKey {
	return &ValuesKey{Name: v.Get("name").Text(), Key: v.Get("key").Text(), Target: v.Get("target").Text(), Optional: v.Get("optional").Bool()}
}

func readRemedy(v *strictyaml.Value) ChartRemedy {
	return ChartRemedy{OnFailure: or(v.Get("on_failure").Text(), "none"), Attempts: int(v.Get("attempts").Int())}
}

func (r *chartReader) patches(v *strictyaml.Value) {
	for _, p := range v.Get("patches").Items() {
		t := p.Get("target")
		r.chart.Patches = append(r.chart.Patches, ChartPatch{
			Patch: p.Get("patch").Text(), Group: t.Get("group").Text(), Version: t.Get("version").Text(), Kind: t.Get("kind").Text(),
			Name: t.Get("name").Text(), Namespace: t.Get("namespace").Text(), Labels: t.Get("labels").Text(), Annotations: t.Get("annotations").Text(),
		})
		if t == nil && isOperations(p.Get("patch").Text()) {
			r.fault(p.Get("patch"), "is a list of operations without a target", "say with target which objects it is for")
		}
	}
}

// contradictions are keys that say nothing, or the opposite, beside others.
// unsigned finds what a signature of the commit would not cover.
func (r *chartReader) unsigned(verify *strictyaml.Value) {
	switch {
	case verify == nil:
	case r.chart.Repository != nil:
		r.fault(verify, "says nothing of a chart of a repository, which no commit holds", "remove it, or keep the chart in a project")
	case slices.ContainsFunc(r.chart.Values, func(v ChartValues) bool { return v.Elsewhere() || v.URL != nil }):
		r.fault(verify, "says nothing of values of another project or ref, or behind a URL", "keep them in the chart's repository at the same ref, inline, in a ConfigMap or in a Secret")
	}
}

func (r *chartReader) contradictions(v *strictyaml.Value) {
	if c := r.chart; c.WaitForJobs && !c.Wait && !c.Atomic {
		r.fault(v.Get("wait_for_jobs"), "means nothing without wait", "add wait: true")
	}
	if r.chart.Atomic {
		if w := v.Get("wait"); w != nil && !w.Bool() {
			r.fault(w, "contradicts atomic, which waits", "remove one of the two")
		}
		for _, key := range []string{"install", "upgrade"} {
			if f := v.Get(key).Get("on_failure"); f != nil {
				r.fault(f, "contradicts atomic, which uninstalls a failed installation and rolls a failed upgrade back", "remove one of the two")
			}
		}
	}
	r.unsigned(v.Get("verify"))
	if i := v.Get("ignore"); i != nil && r.chart.Drift == "off" {
		r.fault(i, "means nothing without drift", "add drift: correct or drift: report")
	}
}
