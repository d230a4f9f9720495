package syncer

import (
	"context"
	"strings"
	"time"
	"unicode"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/towline/towline/pkg/syncspec"
)

// Reasons of events.
const (
	eventSucceeded = "SyncSucceeded"
	eventFailed    = "SyncFailed"
	eventDrift     = "DriftCorrected"
)

const (
	eventSource = "towline"
	// maxEvent is Kubernetes' limit on the message of an event, in bytes.
	maxEvent = 1024
	// eventWithin bounds the request: the result of the sync waits for it.
	eventWithin = 5 * time.Second
)

// Past is how the sync before this one ended.
type Past struct {
	State   syncspec.State `json:"state"`
	Commit  string         `json:"commit"`
	Summary string         `json:"summary"`
	Drifted int            `json:"drifted,omitempty"`
}

// past makes a Past of a report.
func past(r *syncspec.Report) *Past {
	return &Past{State: r.State, Commit: r.Commit, Summary: r.Summary(), Drifted: r.Drifted}
}

// news is the reason of the event that a report is worth, "" for none: a state
// that has lasted is none, however often it is found.
func news(before *Past, now *Past) string {
	changed := before == nil || before.State != now.State || before.Commit != now.Commit
	switch now.State {
	case syncspec.Succeeded:
		switch {
		case changed:
			return eventSucceeded
		case now.Drifted > 0 && before.Drifted == 0:
			return eventDrift
		}
	case syncspec.Failed:
		if changed || wordless(before.Summary) != wordless(now.Summary) {
			return eventFailed
		}
	case syncspec.Superseded, syncspec.Lost:
	}
	return ""
}

// wordless is a message without its numbers, which differ from time to time:
// ports, versions, durations.
func wordless(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsDigit(r) {
			return -1
		}
		return r
	}, text)
}

// announce writes an event about the entry's inventory, or its release, as the
// sync's own identity. Without the right to do so there is none.
func announce(ctx context.Context, cluster *rest.Config, req *Request, report *syncspec.Report) {
	now := past(report)
	now.Commit = req.Task.Commit
	reason := news(req.Past, now)
	if reason == "" || ctx.Err() != nil || req.Task.Entry.DryRun == "client" || req.Task.Entry.DryRun == "server" {
		return
	}
	client, err := kubernetes.NewForConfig(cluster)
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, eventWithin)
	defer cancel()
	e := event(req, report, reason, metav1.Now())
	_, _ = client.CoreV1().Events(e.Namespace).Create(ctx, e, metav1.CreateOptions{FieldManager: eventSource})
}

func event(req *Request, report *syncspec.Report, reason string, at metav1.Time) *corev1.Event {
	about := subject(req, report)
	e := &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{GenerateName: "towline-", Namespace: about.Namespace},
		InvolvedObject: about, Reason: reason, Type: corev1.EventTypeNormal, Count: 1, FirstTimestamp: at, LastTimestamp: at,
		Source: corev1.EventSource{Component: eventSource}, ReportingController: eventSource, ReportingInstance: req.Runner,
	}
	if reason == eventFailed {
		e.Type = corev1.EventTypeWarning
	}
	const shown = 8
	e.Message = req.Task.Entry.Name + " at " + req.Task.Commit[:min(shown, len(req.Task.Commit))] + ": " + report.Summary()
	if len(e.Message) > maxEvent {
		e.Message = strings.ToValidUTF8(e.Message[:maxEvent-len("...")], "") + "..."
	}
	return e
}

// subject is what an event is about.
func subject(req *Request, report *syncspec.Report) corev1.ObjectReference {
	m := req.Task.Entry
	if m.Chart != nil {
		return corev1.ObjectReference{APIVersion: "helm.sh/v3", Kind: "Release", Namespace: m.DefaultNamespace, Name: m.Chart.Release}
	}
	ref := corev1.ObjectReference{APIVersion: "v1", Kind: "ConfigMap", Namespace: m.DefaultNamespace, Name: "inventory-" + req.Task.InventoryID(req.AgentID)}
	if namespace, name, ok := strings.Cut(report.Inventory, "/"); ok {
		ref.Namespace, ref.Name = namespace, name
	}
	return ref
}
