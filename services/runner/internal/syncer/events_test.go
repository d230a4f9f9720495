package syncer

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/syncspec"
)

func TestWhatIsNews(t *testing.T) {
	good, bad := syncspec.Succeeded, syncspec.Failed
	for name, tt := range map[string]struct {
		before *Past
		now    Past
		want   string
	}{
		"the first success":    {nil, Past{State: good, Commit: "a"}, eventSucceeded},
		"the first failure":    {nil, Past{State: bad, Commit: "a"}, eventFailed},
		"nothing new":          {&Past{State: good, Commit: "a"}, Past{State: good, Commit: "a"}, ""},
		"a new commit":         {&Past{State: good, Commit: "a"}, Past{State: good, Commit: "b"}, eventSucceeded},
		"it fails now":         {&Past{State: good, Commit: "a"}, Past{State: bad, Commit: "a"}, eventFailed},
		"it works again":       {&Past{State: bad, Commit: "a"}, Past{State: good, Commit: "a"}, eventSucceeded},
		"the same failure":     {&Past{State: bad, Commit: "a", Summary: "took 3s at :4711"}, Past{State: bad, Commit: "a", Summary: "took 12s at :4712"}, ""},
		"another failure":      {&Past{State: bad, Commit: "a", Summary: "x"}, Past{State: bad, Commit: "a", Summary: "y"}, eventFailed},
		"drift":                {&Past{State: good, Commit: "a"}, Past{State: good, Commit: "a", Drifted: 1}, eventDrift},
		"drift each time":      {&Past{State: good, Commit: "a", Drifted: 2}, Past{State: good, Commit: "a", Drifted: 1}, ""},
		"a newer one came":     {nil, Past{State: syncspec.Superseded, Commit: "a"}, ""},
		"after a newer commit": {&Past{State: syncspec.Superseded, Commit: "a"}, Past{State: good, Commit: "a"}, eventSucceeded},
	} {
		if got := news(tt.before, &tt.now); got != tt.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestEvents(t *testing.T) {
	req := &Request{Runner: "r-1", AgentID: 7, Task: syncspec.Task{ProjectID: 42, Commit: "0123456789", Entry: agentconfig.Manifests{Name: "a/b", Project: "a/b", DefaultNamespace: "shop"}}}
	report := &syncspec.Report{State: syncspec.Succeeded}
	report.Add("k8s/a.yaml:1: wrong " + strings.Repeat("ö", maxEvent))
	at := metav1.NewTime(time.Unix(1_700_000_000, 0))
	e := event(req, report, eventFailed, at)
	if len(e.Message) > maxEvent || !strings.HasPrefix(e.Message, "a/b at 01234567: k8s/a.yaml:1: wrong ö") || !strings.HasSuffix(e.Message, "ö...") {
		t.Errorf("%d bytes: %s", len(e.Message), e.Message)
	}
	e.Message = ""
	want := &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{GenerateName: "towline-", Namespace: "shop"},
		InvolvedObject: corev1.ObjectReference{APIVersion: "v1", Kind: "ConfigMap", Namespace: "shop", Name: "inventory-7-42"},
		Reason:         "SyncFailed", Type: "Warning", Count: 1, FirstTimestamp: at, LastTimestamp: at,
		Source: corev1.EventSource{Component: "towline"}, ReportingController: "towline", ReportingInstance: "r-1",
	}
	if diff := cmp.Diff(want, e); diff != "" {
		t.Error(diff)
	}
	report.Inventory = "other/chosen"
	if ref := subject(req, report); ref.Namespace != "other" || ref.Name != "chosen" {
		t.Errorf("%+v", ref)
	}
	req.Task.Entry.Chart = &agentconfig.Chart{Release: "web"}
	if ref := subject(req, report); ref.Kind != "Release" || ref.Namespace != "shop" || ref.Name != "web" {
		t.Errorf("%+v", ref)
	}
}
