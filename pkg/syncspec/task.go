package syncspec

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/towline/towline/pkg/agentconfig"
)

// Schema is the version of tasks and reports.
const Schema = 1

// Task is one state that the cluster shall have.
type Task struct {
	Schema    int                   `json:"schema"`
	Entry     agentconfig.Manifests `json:"entry"`
	ProjectID int64                 `json:"project_id"` // in GitLab
	Commit    string                `json:"commit"`
	Bundle    string                `json:"bundle"` // digest
	// Variables are values of GitLab's variables that the entry names. They are
	// secrets: the task that holds them is sealed. Salt is random beside them, so
	// that the task's digest tells nothing of them.
	Variables map[string]string `json:"variables,omitempty"`
	Salt      string            `json:"salt,omitempty"`
	// Remove uninstalls the release of an entry that has left the configuration; no
	// file is needed for it.
	Remove bool `json:"remove,omitempty"`
}

// InventoryID is the name under which GitLab's agent kept the inventory of a
// project, and under which a second entry of the same project keeps its own.
// agent is the agent's number, as the grant has it.
func (t Task) InventoryID(agent int64) string {
	id := fmt.Sprintf("%d-%d", agent, t.ProjectID)
	if t.Entry.Name != t.Entry.Project {
		id += "-" + label(t.Entry.Name)
	}
	return id
}

// Order is a task with the grant that policy has signed for it; it is sealed as
// a whole.
type Order struct {
	Task  json.RawMessage `json:"task"` // signed by its digest, so kept as it is
	Grant string          `json:"grant"`
	// Content is a digest of all that makes the task another one, but its commit.
	// The tunnel compares it with what it wants next.
	Content string `json:"content,omitempty"`
}

// State is how a sync ended.
type State string

// States of a Report.
const (
	Succeeded State = "success"
	Failed    State = "failed"
	// Superseded: a newer task was wanted before this one had ended.
	Superseded State = "superseded"
	// Lost: nothing was tried for reasons that are not the entry's.
	Lost State = "lost"
)

// Limits of a report.
const (
	MaxProblems = 50
	MaxText     = 2000 // bytes of one problem
)

// Report is how a sync ended. It holds no values of Secrets.
type Report struct {
	Schema int    `json:"schema"`
	State  State  `json:"state"`
	Commit string `json:"commit"`
	Entry  string `json:"entry"`
	// Problems begin with the one that counts; More is how many were left out.
	Problems []string `json:"problems,omitempty"`
	More     int      `json:"more,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
	Objects  int      `json:"objects"`
	// Counts are objects by action: created, configured, unchanged, pruned and
	// the like.
	Counts    map[string]int `json:"counts,omitempty"`
	Drifted   int            `json:"drifted"`
	Millis    int64          `json:"millis"`
	Ended     int64          `json:"ended,omitempty"` // seconds since 1970, by the runner's clock; 0 is not known
	Inventory string         `json:"inventory,omitempty"`
	// Release says of a Helm release what is deployed, for people.
	Release string `json:"release,omitempty"`

	secrets   []string
	concealed *strings.Replacer
}

// Add notes a problem within the limits.
func (r *Report) Add(problem string) {
	r.State = Failed
	if len(r.Problems) == MaxProblems {
		r.More++
		return
	}
	problem = r.Concealed(problem)
	if len(problem) > MaxText {
		problem = problem[:MaxText] + "..."
	}
	r.Problems = append(r.Problems, problem)
}

// Summary is the report in one line.
func (r *Report) Summary() string {
	if r.State == Succeeded {
		text := fmt.Sprintf("%d objects", r.Objects)
		if r.Release != "" {
			text = r.Release
		}
		for _, action := range []string{"created", "configured", "replaced", "pruned"} {
			if n := r.Counts[action]; n > 0 {
				text += fmt.Sprintf(", %d %s", n, action)
			}
		}
		if r.Drifted > 0 {
			text += fmt.Sprintf(", %d had drifted", r.Drifted)
		}
		return text
	}
	if len(r.Problems) == 0 {
		return string(r.State)
	}
	text := r.Problems[0]
	if n := len(r.Problems) - 1 + r.More; n > 0 {
		text += fmt.Sprintf(" (and %d more)", n)
	}
	return text
}
