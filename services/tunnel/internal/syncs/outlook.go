package syncs

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/pkg/syncspec"
)

const (
	// wishEvery is how often an entry is looked at because somebody wishes it;
	// more wishes wait for the next look.
	wishEvery = time.Second
	// hurryEvery is how often a wish has a failed state tried again before its
	// pause is over.
	hurryEvery = 10 * time.Second
	// renewView is how old a view may become that does not change.
	renewView = ledger.ViewTTL / 6
)

// outlook is what a follower lets be known of its entry, and what it is asked.
type outlook struct {
	syncspec.View
	loaded    bool
	asked     atomic.Bool // somebody wishes a look
	commits   commits     // that somebody asks about
	hurried   time.Time
	tellings  int64 // of statuses
	looked    bool  // this step has learnt where the ref stands
	blocked   bool  // an entry that it depends on has not succeeded
	written   string
	writtenAt time.Time
	of        parts // of what is written
}

// parts are what makes another view of an entry, in a form that is cheap to
// compare.
type parts struct {
	note, head         string
	answered, refusals int64
	tellings           int64
	project            int64
	refused            *syncspec.Report
	deployment         syncspec.Deployment
}

func (o *outlook) parts() parts {
	p := parts{note: o.Note, head: o.Head(), answered: o.Answered, refusals: o.Refusals, tellings: o.tellings, project: o.ProjectID, refused: o.Refused}
	if o.Deployment != nil {
		p.deployment = *o.Deployment
	}
	return p
}

// maxAsked bounds how many commits are asked about between two looks.
const maxAsked = 8

// commits are some that somebody has named. It is safe for concurrent use.
type commits struct {
	mu   sync.Mutex
	list []string
}

func (c *commits) add(commit string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if commit != "" && len(c.list) < maxAsked && !slices.Contains(c.list, commit) {
		c.list = append(c.list, commit)
	}
}

func (c *commits) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := c.list
	c.list = nil
	return list
}

// wish has an entry looked at soon. commit is one that somebody asks about.
func (k *Keeper) wish(name, commit string) {
	k.mu.Lock()
	f := k.followers[name]
	early := time.Since(k.wishes[name]) < wishEvery
	if f != nil && !early {
		k.wishes[name] = time.Now()
	}
	k.mu.Unlock()
	if f == nil {
		return
	}
	f.outlook.commits.add(commit)
	f.outlook.asked.Store(true)
	if !early {
		k.wake(name)
	}
}

// takeWish says whether a look is wished, and clears the way for it.
func (f *follower) takeWish() bool {
	o := &f.outlook
	if !o.asked.Swap(false) {
		return false
	}
	if time.Since(o.hurried) >= hurryEvery {
		o.hurried = time.Now()
		f.lookAt, f.variables.at = time.Time{}, time.Time{}
		if f.failures > 0 {
			f.again = time.Time{}
		}
	}
	return true
}

// relate finds out whether commits that were asked about are part of where the
// ref stands: it may have moved on between two looks.
func (f *follower) relate(ctx context.Context, token string) {
	for _, commit := range f.outlook.commits.take() {
		if slices.Contains(f.outlook.Heads, commit) {
			continue
		}
		part, err := f.GitLab.Includes(ctx, token, f.entry.Project, f.head.ID, commit)
		if err == nil && part {
			f.outlook.Preceded(commit)
		}
	}
}

// recall takes over what is known of the entry from the tunnel that has followed
// it before.
func (f *follower) recall(ctx context.Context) error {
	if f.outlook.loaded {
		return nil
	}
	var old syncspec.View
	text, err := f.Ledger.View(ctx, f.Seal, f.entry.Name)
	switch {
	case errors.Is(err, ledger.ErrUnknown):
	case err != nil:
		return err
	case json.Unmarshal(text, &old) != nil || old.Schema != syncspec.Schema:
		old = syncspec.View{}
	}
	if old.Entry.Ref != f.entry.Ref || old.Entry.Project != f.entry.Project {
		old.Heads = nil
	}
	if old.Entry.Project != f.entry.Project {
		old.Told = nil
	}
	if old.Entry.Environment != f.entry.Environment || old.Entry.Project != f.entry.Project {
		old.Deployment = nil
	}
	f.outlook.View, f.outlook.written, f.outlook.loaded = old, "", true
	return nil
}

// publish lets be known where the entry stands; answered is whether a wish has
// been followed. It writes when something has changed.
func (f *follower) publish(ctx context.Context, answered bool) {
	o := &f.outlook
	if !o.loaded || ctx.Err() != nil {
		return
	}
	if answered {
		o.Answered++
	}
	o.Schema, o.Entry, o.ProjectID, o.Note = syncspec.Schema, f.entry, f.project, f.note()
	now := o.parts()
	if o.written != "" && now == o.of && time.Since(o.writtenAt) < renewView {
		return
	}
	text, err := json.Marshal(o.View)
	if err != nil || string(text) == o.written && time.Since(o.writtenAt) < renewView {
		return
	}
	if err := f.Ledger.PutView(ctx, f.Seal, f.entry.Name, text); err != nil {
		if ctx.Err() == nil {
			f.Log.Warn("jobs cannot be told of an entry", service.KeyEntry, f.entry.Name, service.Err(err))
		}
		return
	}
	o.written, o.writtenAt, o.of = string(text), time.Now(), now
}

// note is why nothing goes on; "" if it does.
func (f *follower) note() string {
	switch {
	case f.entry.Suspend:
		return "the entry is suspended; remove suspend from it"
	case !f.entry.OpenAt(time.Now()):
		return "the entry is outside of its windows and waits for the next one"
	case f.waiting.note != "":
		return f.waiting.note
	case f.problem != "":
		return f.problem
	case f.outlook.blocked:
		return "the entry waits until those that it depends on have succeeded: " + strings.Join(f.entry.DependsOn, ", ")
	}
	return ""
}
