package records

import (
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/towline/towline/pkg/policyapi"
	"github.com/towline/towline/pkg/service"
)

// Record is one decision. Its JSON keys are those of the log line "decision",
// so that a line of the log can be read as a Record.
type Record struct {
	Time             time.Time `json:"time"`
	JobID            int64     `json:"job_id"`
	Project          string    `json:"project"`
	PipelineID       int64     `json:"pipeline_id"`
	UserID           int64     `json:"user_id"`
	ScopedUserID     int64     `json:"scoped_user_id,omitempty"`
	Username         string    `json:"username,omitempty"`
	Ref              string    `json:"ref,omitempty"`
	RefType          string    `json:"ref_type,omitempty"`
	RefProtected     bool      `json:"ref_protected"`
	Environment      string    `json:"environment,omitempty"`
	Allow            bool      `json:"allow"`
	Rule             string    `json:"rule"`
	IdentityMode     string    `json:"identity_mode"`
	IdentityUser     string    `json:"identity_user"`
	Namespaces       []string  `json:"namespaces,omitempty"`
	DefaultNamespace string    `json:"default_namespace,omitempty"`
	Reasons          []string  `json:"reasons"`
	Remedy           string    `json:"remedy,omitempty"`
	Notices          []string  `json:"notices,omitempty"`
	ConfigRevision   string    `json:"config_revision"`
	Caller           string    `json:"caller"`
}

// maxName bounds the names that an author chose; GitLab's are no longer.
const maxName = 255

func name(s string) string {
	if len(s) <= maxName {
		return s
	}
	return strings.ToValidUTF8(s[:maxName], "")
}

// Of is the record of a decision made now.
func Of(caller, revision string, e policyapi.Evidence, d policyapi.Decision) Record {
	r := Record{
		Time: time.Now().UTC(), JobID: e.Job.ID, Project: e.Job.ProjectPath, PipelineID: e.Job.PipelineID, UserID: e.Job.UserID,
		Ref: name(e.Job.Ref), RefType: e.Job.RefType, RefProtected: e.Job.RefProtected != nil && *e.Job.RefProtected,
		Environment: name(e.EnvironmentName), Allow: d.Allow, Rule: d.Rule, IdentityMode: d.Identity.Mode, IdentityUser: d.Identity.User,
		Namespaces: d.Namespaces, DefaultNamespace: d.DefaultNamespace, Reasons: d.Reasons, Remedy: d.Remedy, Notices: d.Notices,
		ConfigRevision: revision, Caller: caller,
	}
	if id := e.Job.ScopedUserID; id != nil {
		r.ScopedUserID = *id
	}
	if a := e.AllowedAgents; a != nil {
		r.Username = name(a.User.Username)
	}
	return r
}

// Attrs are the attributes of the log line; the time is the line's own.
func (r Record) Attrs() []slog.Attr {
	out := []slog.Attr{
		service.JobID(r.JobID), slog.String(service.KeyProject, r.Project), slog.Bool("allow", r.Allow), slog.String("rule", r.Rule),
		slog.String("identity_mode", r.IdentityMode), slog.String("identity_user", r.IdentityUser), slog.Any("reasons", r.Reasons),
		slog.Int64("pipeline_id", r.PipelineID), slog.Int64("user_id", r.UserID), slog.Bool("ref_protected", r.RefProtected),
		slog.String("config_revision", r.ConfigRevision), slog.String("caller", r.Caller),
	}
	if r.ScopedUserID != 0 {
		out = append(out, slog.Int64("scoped_user_id", r.ScopedUserID))
	}
	for _, a := range []struct{ key, value string }{
		{"username", r.Username},
		{"ref", r.Ref},
		{"ref_type", r.RefType},
		{"environment", r.Environment},
		{"default_namespace", r.DefaultNamespace},
		{"remedy", r.Remedy},
	} {
		if a.value != "" {
			out = append(out, slog.String(a.key, a.value))
		}
	}
	if len(r.Namespaces) > 0 {
		out = append(out, slog.Any("namespaces", r.Namespaces))
	}
	if len(r.Notices) > 0 {
		out = append(out, slog.Any("notices", r.Notices))
	}
	return out
}

// Max is how many records are kept; the oldest goes first.
const Max = 1000

// Ring is the newest records. The zero value is ready; it is safe for concurrent
// use.
type Ring struct {
	mu   sync.Mutex
	all  []Record
	next int // where the next one goes once all is full
}

// Add keeps a record.
func (r *Ring) Add(rec Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.all) < Max {
		r.all = append(r.all, rec)
		return
	}
	r.all[r.next] = rec
	r.next = (r.next + 1) % Max
}

// Of are the records of a job, the newest first: a job may be decided more than
// once, when the tunnel has not heard the first answer.
func (r *Ring) Of(job int64) []Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []Record
	for i := range r.all {
		rec := r.all[(r.next+len(r.all)-1-i)%len(r.all)]
		if rec.JobID == job {
			out = append(out, rec)
		}
	}
	return out
}
