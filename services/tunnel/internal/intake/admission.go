package intake

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode"

	"github.com/towline/towline/pkg/joblines"
	"github.com/towline/towline/pkg/jobspec"
	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/policyapi"
	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

// Decider is policy.
type Decider interface {
	Decide(ctx context.Context, e policyapi.Evidence, c *policyapi.Configuration) (*policyapi.Decision, error)
}

// Witness is the part of the GitLab client that evidence comes from.
type Witness interface {
	AllowedAgents(ctx context.Context, token gitlab.JobToken) (*gitlab.AllowedAgents, error)
	EnvironmentNamed(ctx context.Context, token gitlab.JobToken, project int64, name string) (*gitlab.Environment, error)
	JobFile(ctx context.Context, token gitlab.JobToken, project int64, path, commit string, limit int64) ([]byte, error)
	UpdateJob(ctx context.Context, id int64, token gitlab.JobToken, u gitlab.Update) gitlab.UpdateResult
}

// Admission decides accepted jobs. It is safe for concurrent use.
type Admission struct {
	GitLab Witness
	Keys   Keyring
	Policy Decider
	Ledger *ledger.Ledger
	Seal   ledger.Sealer
	// Configuration is the agent's configuration as read from GitLab, or nil
	// when policy reads its own. An error means that it is not known yet, and
	// nothing is decided: without it policy would deny.
	Configuration func() (*policyapi.Configuration, error)
	// Name and SystemID stand at the head of a job's log.
	Name, SystemID string
	// GitLabURL is where runners send artifacts.
	GitLabURL string
	Log       *slog.Logger
}

// Admit brings a job from accepted to queued, or to its end. An error means that
// no decision was possible now; the job is unchanged.
func (a *Admission) Admit(ctx context.Context, job *jobspec.Job, payload []byte) error {
	token := gitlab.JobToken(job.Token)
	// GitLab's own runner says "running" before anything else, and learns here
	// that a job was cancelled in the meantime (section 8.4).
	switch r := a.GitLab.UpdateJob(ctx, job.ID, token, gitlab.Update{State: "running"}); {
	case r.Outcome == gitlab.UpdateJobGone:
		a.Log.Info("job is over at GitLab already; dropped", service.JobID(job.ID))
		return a.Ledger.MarkReported(ctx, job.ID)
	case r.Status == gitlab.StatusCanceling:
		return a.end(ctx, job, ledger.ReasonCanceled, a.log(job, joblines.Failed(joblines.Job, "canceled")))
	}
	evidence, err := a.gather(ctx, job, payload)
	if err != nil {
		return err
	}
	configuration, err := a.Configuration()
	if err != nil {
		return err
	}
	d, err := a.Policy.Decide(ctx, evidence, configuration)
	if err != nil {
		return err
	}
	if !d.Allow {
		return a.end(ctx, job, ledger.ReasonConfiguration, a.log(job, denial(d)...))
	}
	warrant, err := ledger.SealJSON(a.Seal, job.ID, ledger.Warrant{Grant: d.Grant, SystemID: a.SystemID, Preamble: preamble(d), GitLabURL: a.GitLabURL})
	if err != nil {
		return err
	}
	err = a.Ledger.Enqueue(ctx, job.ID, warrant)
	if errors.Is(err, ledger.ErrState) {
		return nil // somebody else decided it meanwhile
	}
	if err == nil {
		a.Log.Info("job allowed and queued", service.JobID(job.ID), service.KeyProject, job.JobInfo.ProjectFullPath, "rule", d.Rule, "identity", d.Identity.Mode, "user", d.Identity.User)
	}
	return err
}

// end closes a job that is not going to run.
func (a *Admission) end(ctx context.Context, job *jobspec.Job, reason string, log []byte) error {
	sealed, err := ledger.SealJSON(a.Seal, job.ID, ledger.Result{State: ledger.Failed, FailureReason: reason})
	if err != nil {
		return err
	}
	if err := a.Ledger.Close(ctx, job.ID, log, sealed); err != nil && !errors.Is(err, ledger.ErrState) {
		return err
	}
	a.giveBack(ctx, job.ID)
	a.Log.Info("job not admitted", service.JobID(job.ID), service.KeyProject, job.JobInfo.ProjectFullPath, "reason", reason)
	return nil
}

// giveBack puts the ticket of a job that no runner will claim on offer again;
// else denied jobs would keep runners idle until their tickets run out.
func (a *Admission) giveBack(ctx context.Context, id int64) {
	rec, err := a.Ledger.Load(ctx, id)
	if err == nil && rec.Ticket != "" {
		err = a.Ledger.Return(ctx, rec.Ticket)
	}
	if err != nil {
		a.Log.Warn("ticket not returned; it runs out by itself", service.JobID(id), service.Err(err))
	}
}

// log is the whole log of a job that is not going to run.
func (a *Admission) log(job *jobspec.Job, lines ...string) []byte {
	head := joblines.Text("Running with towline "+service.Version) +
		joblines.Text(fmt.Sprintf("  on %s, system ID: %s", a.Name, a.SystemID))
	return joblines.Stamp(job, time.Now(), head+strings.Join(lines, ""))
}

// denial is what a person reads in the log of a denied job.
func denial(d *policyapi.Decision) []string {
	lines := []string{joblines.Error("Towline does not run this job.")}
	for _, r := range d.Reasons {
		lines = append(lines, "  "+printable(r)+"\n")
	}
	if d.Remedy != "" {
		lines = append(lines, joblines.Info("What to do: "+printable(d.Remedy)))
	}
	for _, n := range d.Notices {
		lines = append(lines, "Note: "+printable(n)+"\n")
	}
	return append(lines, joblines.Failed(joblines.Job, "denied by policy"))
}

// preamble is what the log of an allowed job begins with: by which entry, as
// whom, where.
func preamble(d *policyapi.Decision) []string {
	as := fmt.Sprintf("Acting as %s (access_as: %s)", d.Identity.User, d.Identity.Mode)
	if d.DefaultNamespace != "" {
		as += ", in namespace " + d.DefaultNamespace + " unless another is named"
	}
	lines := []string{"Allowed by " + printable(d.Rule), printable(as)}
	if len(d.Namespaces) > 0 {
		lines = append(lines, printable("Limited to the namespaces "+strings.Join(d.Namespaces, ", ")))
	}
	for _, n := range d.Notices {
		lines = append(lines, "Note: "+printable(n))
	}
	return lines
}

// printable keeps control characters, and those that turn the direction of a
// text, out of a log: names in a reason may be free text of a pipeline's author.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
}
