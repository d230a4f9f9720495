package inquiry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/syncspec"
)

// maxTold bounds how many problems and how many warnings an answer has.
const maxTold = 10

// Desk answers questions. It is safe for concurrent use.
type Desk struct {
	Ledger *ledger.Ledger
	Seal   ledger.Sealer
}

// Answer answers one question of a job.
func (d *Desk) Answer(ctx context.Context, who Asker, q Question) Answer {
	if err := q.Check(); err != nil {
		return Answer{Refusal: err.Error()}
	}
	if q.Entry == "" {
		q.Entry = who.Project
	}
	view, err := d.view(ctx, q.Entry)
	switch {
	case errors.Is(err, ledger.ErrUnknown), err == nil && !view.MayAsk(who.Project):
		// One answer for both: what else there is is no business of the job's.
		return Answer{Refusal: fmt.Sprintf("jobs of %s may ask about no entry of gitops with the name %q: they may ask about entries whose source is %s, "+
			"and about those that name it under jobs, as soon as the tunnel follows them", who.Project, q.Entry, who.Project)}
	case err != nil:
		return Answer{Refusal: "the state of the entry cannot be read now", Again: true}
	}
	rec, err := d.Ledger.LoadSync(ctx, q.Entry)
	if err != nil && !errors.Is(err, ledger.ErrUnknown) {
		return Answer{Refusal: "the state of the entry cannot be read now", Again: true}
	}
	a := Answer{
		Entry: q.Entry, Project: view.Entry.Project, Ref: view.Entry.Ref.String(), Head: view.Head(), Note: view.Note, Suspended: view.Entry.Suspend,
		Now: Since{Of: rec.Of, Refusals: view.Refusals, Answered: view.Answered},
	}
	a.Commit, a.Floating = goal(who, q, view)
	if q.Wake {
		_ = d.Ledger.Wish(ctx, q.Entry, a.Commit) // it is asked again
	}
	a.place(q, view, rec, d.result(q.Entry, rec))
	if q.Settings {
		entry := view.Entry
		if entry.Chart != nil {
			entry.Chart = addressless(entry.Chart)
		}
		a.Settings = &Settings{Entry: entry, Inventory: syncspec.Task{Entry: view.Entry, ProjectID: view.ProjectID}.InventoryID(who.Agent)}
	}
	return a
}

// addressless is a chart without the addresses of its values, which may hold what
// is not for everybody.
func addressless(c *agentconfig.Chart) *agentconfig.Chart {
	out := *c
	out.Values = slices.Clone(c.Values)
	for i := range out.Values {
		if out.Values[i].URL != nil {
			out.Values[i].URL = &agentconfig.ValuesURL{}
		}
	}
	return &out
}

func (d *Desk) view(ctx context.Context, entry string) (*syncspec.View, error) {
	text, err := d.Ledger.View(ctx, d.Seal, entry)
	if err != nil {
		return nil, err
	}
	var v syncspec.View
	if err := json.Unmarshal(text, &v); err != nil {
		return nil, fmt.Errorf("view of %s: %w", entry, err)
	}
	if v.Schema != syncspec.Schema || v.Entry.Name != entry {
		return nil, fmt.Errorf("view of %s: it is of another entry or version", entry)
	}
	return &v, nil
}

// result is the last result of an entry, nil when there is none that can be read.
func (d *Desk) result(entry string, rec ledger.SyncRecord) *syncspec.Report {
	if len(rec.Result) == 0 {
		return nil
	}
	text, err := ledger.OpenSyncResult(d.Seal, entry, rec.Of, rec.Result)
	if err != nil {
		return nil
	}
	var r syncspec.Report
	if json.Unmarshal(text, &r) != nil {
		return nil
	}
	return &r
}

// goal is the commit that a question is about, and whether that is where the ref
// stands; "" is not known yet.
func goal(who Asker, q Question, v *syncspec.View) (commit string, floating bool) {
	switch {
	case q.Commit != "":
		return q.Commit, false
	case strings.EqualFold(who.Project, v.Entry.Project):
		return who.Commit, false
	case q.Since == nil || v.Answered > q.Since.Answered:
		return v.Head(), true
	}
	return "", true
}

// place finds out how far the goal is.
func (a *Answer) place(q Question, v *syncspec.View, rec ledger.SyncRecord, last *syncspec.Report) {
	since := Since{Of: -1, Refusals: -1}
	if q.Since != nil {
		since = *q.Since
	}
	reached := func(r *syncspec.Report) bool { return r != nil && a.Commit != "" && v.Includes(r.Commit, a.Commit) }
	switch {
	case a.Commit == "":
		a.Phase = Looking
	case reached(last) && last.State == syncspec.Succeeded:
		a.Phase, a.Result = Applied, told(last)
	case reached(last) && last.State == syncspec.Failed && rec.Of > since.Of:
		a.Phase, a.Result = Failed, told(last)
	case reached(v.Refused) && v.Refusals > since.Refusals:
		a.Phase, a.Result = Failed, told(v.Refused)
	case !v.Includes(v.Head(), a.Commit):
		a.Phase = Unseen
	case rec.State == ledger.SyncClaimed && rec.Leased:
		a.Phase = Running
	default:
		a.Phase = Queued
	}
}

// told is a report with no more than a person reads.
func told(r *syncspec.Report) *syncspec.Report {
	out := *r
	if extra := len(out.Problems) - maxTold; extra > 0 {
		out.Problems, out.More = out.Problems[:maxTold], out.More+extra
	}
	out.Warnings = out.Warnings[:min(len(out.Warnings), maxTold)]
	return &out
}
