package syncer

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/services/runner/internal/apply"
	"github.com/towline/towline/services/runner/internal/apply/objref"
	"github.com/towline/towline/services/runner/internal/release"
)

func TestWhatAJobCannotCompare(t *testing.T) {
	for want, v := range map[string]agentconfig.ChartValues{
		"values[1]: jobs are not told the addresses of values":               {URL: &agentconfig.ValuesURL{}},
		"values[1]: v.yaml is of another project or ref and not in this":     {File: "v.yaml", Project: "acme/other"},
		"values[1]: w.yaml is of another project or ref and not in this":     {File: "w.yaml", Ref: agentconfig.GitRef{Tag: "v1"}},
		"values[1]: the repository has no file x.yaml":                       {File: "x.yaml"},
		"source.repository: url: an address like https://charts.example.com": {Inline: "a: 1"},
	} {
		m := agentconfig.Manifests{DefaultNamespace: "shop", Chart: &agentconfig.Chart{
			Release: "web", CRDs: "create", Drift: "off", Install: agentconfig.ChartRemedy{OnFailure: "none"}, Upgrade: agentconfig.ChartRemedy{OnFailure: "none"},
			Repository: &agentconfig.ChartRepository{URL: "ftp://x", Chart: "web"}, Values: []agentconfig.ChartValues{{Inline: "a: 1"}, v},
		}}
		_, err := Try(t.Context(), &rest.Config{Host: "http://127.0.0.1:1"}, Candidate{Entry: m, Inventory: "7-42"}, Outside{Proxy: "http://job:grant@127.0.0.1:1"})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "grant") {
			t.Errorf("%v, want %s", err, want)
		}
	}
	m := agentconfig.Manifests{Chart: &agentconfig.Chart{Repository: &agentconfig.ChartRepository{URL: "https://x", Chart: "web"}}}
	if _, err := Try(t.Context(), &rest.Config{}, Candidate{Entry: m, Inventory: "7-42"}, Outside{}); !errors.Is(err, errNoWay) {
		t.Error(err)
	}
}

func TestATrialIsToldAsOfManifests(t *testing.T) {
	one, other := &unstructured.Unstructured{}, &unstructured.Unstructured{}
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, "a", errors.New("no"))
	found := &release.Preview{Chart: "web", Version: "1.2.3", Action: release.ActionUpgrade, Revision: 4, Unchanged: 2, Trials: []release.Trial{
		{File: "templates/a.yaml", After: one},
		{File: "templates/a.yaml", Before: one, After: other},
		{Before: one, After: one},
		{Before: one},
		{Before: one, Kept: true},
		{File: "templates/a.yaml", Err: forbidden},
		{Err: errors.New("other")},
		{},
	}, Hooks: []release.Hook{{Event: "pre-upgrade", Object: "Job shop/m", File: "templates/m.yaml"}, {Event: "test", Object: "Job shop/t", File: "templates/t.yaml", Err: errors.New("none such")}}}
	for i := range found.Trials {
		found.Trials[i].Ref = objref.Ref{Kind: "ConfigMap", Name: "a"}
	}
	p := previewOf(&agentconfig.Chart{Path: "charts/web"}, "shop/web", found)
	var got []string
	for i := range p.Results {
		got = append(got, string(p.Results[i].Action)+" "+p.Results[i].Origin.String()+" "+string(p.Results[i].Reason))
	}
	want := []string{
		"created charts/web/templates/a.yaml:1 ", "configured charts/web/templates/a.yaml:1 ", "unchanged  ", "pruned  ", "kept  ",
		"failed charts/web/templates/a.yaml:1 forbidden", "failed  api", "unchanged  ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if p.Release != "release shop/web: upgrade of chart web 1.2.3, which makes revision 4" || p.Unchanged != 2 || p.Err() == nil {
		t.Errorf("%q, %d", p.Release, p.Unchanged)
	}
	if diff := cmp.Diff(Hook{"Job shop/m would run, as hook pre-upgrade (charts/web/templates/m.yaml)", "charts/web/templates/m.yaml"}, p.Hooks[0]); diff != "" {
		t.Error(diff)
	}
	if len(p.Faults) != 1 || p.Faults[0].Error() != "charts/web/templates/t.yaml:1: hook Job shop/t: none such" {
		t.Errorf("%v", p.Faults)
	}
	elsewhere := previewOf(&agentconfig.Chart{Repository: &agentconfig.ChartRepository{}}, "shop/web", found)
	if at := elsewhere.Results[0].Origin; at.File != "web-1.2.3/templates/a.yaml" || elsewhere.Results[0].Action != apply.Created {
		t.Errorf("%v", at)
	}
}
