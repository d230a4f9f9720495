package release

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	helmrelease "helm.sh/helm/v3/pkg/release"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/metadata"
)

// The labels of release records that are ours. Helm takes them for labels of the
// user: it carries them on to the revisions that the helm binary makes, which is
// why each that speaks of a revision names it.
const (
	labelDigest   = "towline.dev/digest"   // v<revision>.<digest>: what the revision was made of
	labelFailed   = "towline.dev/failed"   // <digest>: content that failed and was undone
	labelAttempts = "towline.dev/attempts" // how often the content has failed
	labelTested   = "towline.dev/tested"   // v<revision>.passed or v<revision>.failed
	labelSwept    = "towline.dev/swept"    // what the failed revision made is gone or in use

	noLabel = "null" // Helm removes a label with this value
)

// record is what the metadata of a release record says.
type record struct {
	revision int
	status   helmrelease.Status
	digest   string // of the content, empty unless this revision is ours
	failed   string
	attempts int
	tested   string // "", "passed" or "failed"
	swept    bool
	ours     bool // any revision so far was made by Towline
	changed  time.Time
}

func newRecord(labels map[string]string, created time.Time) record {
	r := record{status: helmrelease.Status(labels["status"]), failed: labels[labelFailed], changed: created}
	r.revision, _ = strconv.Atoi(labels["version"])
	r.attempts, _ = strconv.Atoi(labels[labelAttempts])
	r.digest = r.own(labels[labelDigest])
	r.tested = r.own(labels[labelTested])
	r.swept = labels[labelSwept] != ""
	r.ours = labels[labelDigest] != ""
	if seconds, err := strconv.ParseInt(labels["modifiedAt"], 10, 64); err == nil && time.Unix(seconds, 0).After(created) {
		r.changed = time.Unix(seconds, 0)
	}
	return r
}

// own is the text of a label if it speaks of this revision.
func (r record) own(label string) string {
	text, ok := strings.CutPrefix(label, fmt.Sprintf("v%d.", r.revision))
	if !ok {
		return ""
	}
	return text
}

// mark is a label's text that speaks of a revision.
func mark(revision int, text string) string { return fmt.Sprintf("v%d.%s", revision, text) }

// history is the records of a release, newest first.
type history []record

func (h history) last() *record {
	if len(h) == 0 {
		return nil
	}
	return &h[0]
}

// deployed is the revision that Helm calls deployed.
func (h history) deployed() *record { return h.newest(helmrelease.StatusDeployed, nil) }

// previous is what a rollback from a deployed or failed revision leads to.
func (h history) previous(from *record) *record {
	if d := h.newest(helmrelease.StatusDeployed, from); d != nil {
		return d
	}
	return h.newest(helmrelease.StatusSuperseded, from)
}

func (h history) newest(status helmrelease.Status, before *record) *record {
	for i := range h {
		if h[i].status == status && (before == nil || h[i].revision < before.revision) {
			return &h[i]
		}
	}
	return nil
}

// observe lists the records of a release, without their contents.
func observe(ctx context.Context, client metadata.Interface, namespace, name string) (history, error) {
	list, err := client.Resource(corev1.SchemeGroupVersion.WithResource("secrets")).Namespace(namespace).
		List(ctx, metav1.ListOptions{LabelSelector: "owner=helm,name=" + name})
	if err != nil {
		return nil, fmt.Errorf("list the records of release %s/%s: %w", namespace, name, err)
	}
	var h history
	for i := range list.Items {
		item := &list.Items[i]
		if strings.HasPrefix(item.Name, recordPrefix) {
			h = append(h, newRecord(item.Labels, item.CreationTimestamp.Time))
		}
	}
	slices.SortFunc(h, func(a, b record) int { return b.revision - a.revision })
	return h, nil
}
