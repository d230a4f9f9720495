package inquiry

import (
	"errors"
	"regexp"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/syncspec"
)

// Question is what a job asks about an entry.
type Question struct {
	Entry string `json:"entry,omitempty"` // empty: the one named like the job's project
	// Commit is what is waited for. Empty is the job's own commit, or for an entry
	// of another project where its ref stands at the next look.
	Commit string `json:"commit,omitempty"`
	// Wake asks for a look at the source now.
	Wake bool `json:"wake,omitempty"`
	// Settings asks for the entry itself, to show what it would do.
	Settings bool `json:"settings,omitempty"`
	// Since is Answer.Now of an earlier answer: failures from before do not count.
	// Nil counts all.
	Since *Since `json:"since,omitempty"`
}

// Since is a point in the life of an entry.
type Since struct {
	Of       int64 `json:"of"`
	Refusals int64 `json:"refusals"`
	Answered int64 `json:"answered"`
}

// Asker is who asks, from the job's grant and payload.
type Asker struct {
	Project string // full path
	Commit  string
	Agent   int64
}

// Phase is how far a commit is on its way into the cluster.
type Phase string

// Phases.
const (
	Looking Phase = "looking" // the source has not been looked at since
	Unseen  Phase = "unseen"  // the ref does not stand there, and has not
	Queued  Phase = "queued"
	Running Phase = "running"
	Applied Phase = "applied"
	Failed  Phase = "failed"
)

// Answer is what a job is told.
type Answer struct {
	// Refusal is why nothing is told. Again: it may be otherwise in a moment.
	Refusal string `json:"refusal,omitempty"`
	Again   bool   `json:"again,omitempty"`

	Entry   string `json:"entry,omitempty"`
	Project string `json:"project,omitempty"` // of the source
	Ref     string `json:"ref,omitempty"`     // in words
	Commit  string `json:"commit,omitempty"`  // that is waited for; empty while Looking
	Head    string `json:"head,omitempty"`    // where the ref stands
	// Floating means that Commit is Head and not one that was asked for.
	Floating bool  `json:"floating,omitempty"`
	Phase    Phase `json:"phase,omitempty"`
	// Result is how it ended, in the phases Applied and Failed. Its commit may be
	// one that came after Commit.
	Result    *syncspec.Report `json:"result,omitempty"`
	Note      string           `json:"note,omitempty"` // why nothing goes on
	Suspended bool             `json:"suspended,omitempty"`
	Now       Since            `json:"now,omitzero"`
	Settings  *Settings        `json:"settings,omitempty"`
}

// Settings are what an entry does, without whom it acts as.
type Settings struct {
	Entry     agentconfig.Manifests `json:"entry"`
	Inventory string                `json:"inventory"` // its id
}

var commitText = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// Check refuses a question that nobody means.
func (q Question) Check() error {
	switch {
	case q.Entry != "" && !syncspec.IsName(q.Entry):
		return errors.New("this is no name of an entry of gitops")
	case q.Commit != "" && !commitText.MatchString(q.Commit):
		return errors.New("this is no commit: write its whole SHA, 40 or 64 hexadecimal digits in small letters")
	}
	return nil
}
