package syncspec

import (
	"slices"
	"strings"

	"github.com/towline/towline/pkg/agentconfig"
)

// Limits of a View.
const (
	// MaxHeads is how many commits are remembered at which a ref has stood.
	MaxHeads = 50
	// MaxName bounds the name of an entry in bytes.
	MaxName = 255
	// MaxTold is of how many commits is remembered what GitLab was told.
	MaxTold = 20
)

// View is what the tunnel that follows an entry lets be known of it: runners
// answer jobs from it. It holds no credential and no value of a Secret.
type View struct {
	Schema    int                   `json:"schema"`
	Entry     agentconfig.Manifests `json:"entry"` // as the configuration has it
	ProjectID int64                 `json:"project_id,omitempty"`
	// Heads are the commits at which the ref has stood, the newest last.
	Heads []string `json:"heads,omitempty"`
	// Answered counts the wishes that a look has followed.
	Answered int64 `json:"answered,omitempty"`
	// Note is why nothing goes on now: the source cannot be read, the entry is
	// suspended, outside of its windows, or waits for another.
	Note string `json:"note,omitempty"`
	// Refused is a state that could not even be tried; Refusals counts those.
	Refused  *Report `json:"refused,omitempty"`
	Refusals int64   `json:"refusals,omitempty"`
	// Told are the commit statuses that GitLab has been told last, of each commit
	// one, the newest last.
	Told []Told `json:"told,omitempty"`
	// Deployment is the record that GitLab has of the newest commit.
	Deployment *Deployment `json:"deployment,omitempty"`
}

// Told is what GitLab has been told of a commit.
type Told struct {
	Commit string `json:"commit"`
	State  string `json:"state"` // in GitLab's words
}

// Deployment is a record of GitLab's that was made for a commit.
type Deployment struct {
	ID     int64  `json:"id,omitempty"` // 0: it could not be made, or is being made
	Commit string `json:"commit"`
	State  string `json:"state"` // in GitLab's words
	// Owed says that GitLab may not have heard of State yet.
	Owed bool `json:"owed,omitempty"`
	// Before is the record of an older commit that is to be canceled first; 0 is none.
	Before int64 `json:"before,omitempty"`
}

// Tell notes what GitLab has been told of a commit.
func (v *View) Tell(commit, state string) {
	v.Told = slices.DeleteFunc(v.Told, func(t Told) bool { return t.Commit == commit })
	v.Told = append(v.Told, Told{commit, state})
	if extra := len(v.Told) - MaxTold; extra > 0 {
		v.Told = slices.Delete(v.Told, 0, extra)
	}
}

// ToldOf is what GitLab has been told of a commit last; "" is nothing.
func (v *View) ToldOf(commit string) string {
	for _, t := range v.Told {
		if t.Commit == commit {
			return t.State
		}
	}
	return ""
}

// Stood notes where the ref stands now.
func (v *View) Stood(commit string) {
	if commit == "" || v.Head() == commit {
		return
	}
	v.Heads = slices.DeleteFunc(v.Heads, func(c string) bool { return c == commit })
	v.Heads = append(v.Heads, commit)
	if extra := len(v.Heads) - MaxHeads; extra > 0 {
		v.Heads = slices.Delete(v.Heads, 0, extra)
	}
}

// Preceded notes that commit is part of where the ref stands, though it was never
// seen there.
func (v *View) Preceded(commit string) {
	head := v.Head()
	if head == "" || v.Includes(head, commit) {
		return
	}
	v.Heads = v.Heads[:len(v.Heads)-1]
	v.Stood(commit)
	v.Stood(head)
}

// Head is where the ref stands; "" is not known yet.
func (v *View) Head() string {
	if len(v.Heads) == 0 {
		return ""
	}
	return v.Heads[len(v.Heads)-1]
}

// Includes says whether the state of commit is part of that of later: it is the
// same, or the ref has stood there before.
func (v *View) Includes(later, commit string) bool {
	if later == commit {
		return true
	}
	first, then := slices.Index(v.Heads, commit), slices.Index(v.Heads, later)
	return first >= 0 && first < then
}

// MayAsk says whether jobs of a project may ask about the entry and have it
// looked at: those of its source, and those that the entry names.
func (v *View) MayAsk(project string) bool {
	return project != "" && (strings.EqualFold(project, v.Entry.Project) ||
		slices.ContainsFunc(v.Entry.Jobs, func(p string) bool { return strings.EqualFold(p, project) }))
}

// IsName says whether a text can be the name of an entry.
func IsName(s string) bool {
	return s != "" && len(s) <= MaxName && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r == 0x7f || r == '{' || r == '}' || r == '*'
	})
}
