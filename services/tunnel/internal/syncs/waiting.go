package syncs

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// When an archive that cannot be fetched is a failure: until then the commit
// waits for it, and it is tried for again in any case.
const (
	maxTries = 8
	maxWait  = 10 * time.Minute
	// mentioned is the failure in a row from which people are told that a commit
	// waits: a single one is nothing.
	mentioned = 2
)

// waiting is for how long the files of a commit could not be fetched.
type waiting struct {
	commit  string
	project string // whose archive is fetched now
	since   time.Time
	tries   int
	// untold means that GitLab shows something better of this commit: what it came
	// to before, or that another tunnel's task of it is under way.
	untold bool
	told   bool // GitLab was told that it waits
	note   string
}

// unfetched is an archive that could not be fetched.
type unfetched struct {
	commit string
	why    error
}

// Error implements error.
func (u *unfetched) Error() string { return fmt.Sprintf("archive of %.8s: %v", u.commit, u.why) }

func (u *unfetched) Unwrap() error { return u.why }

// await begins to wait for the files of a commit, unless it does so already.
func (f *follower) await(commit string, untold bool) {
	if f.waiting.commit != commit {
		f.waiting = waiting{commit: commit, since: time.Now()}
	}
	f.waiting.project = f.entry.Project
	f.waiting.untold = untold
}

// waits tells jobs and GitLab what the commit waits for.
func (f *follower) waits(ctx context.Context, why string) {
	f.waiting.note = fmt.Sprintf("waiting for the archive of %s: %s", f.waiting.project, why)
	if !f.waiting.untold {
		f.waiting.told = true
		f.show(ctx, f.waiting.commit, statePending, f.waiting.note)
	}
}

// missed notes that the files of a commit could not be fetched. It has failed
// when that has lasted; until they come, it stays failed.
func (f *follower) missed(ctx context.Context, err error, inherited bool) {
	var u *unfetched
	if ctx.Err() != nil || !errors.As(err, &u) {
		return
	}
	w := &f.waiting
	w.tries++
	switch {
	case !inherited && (w.tries >= maxTries || time.Since(w.since) >= maxWait):
		w.note = ""
		f.refused(ctx, w.commit, fmt.Sprintf("the archive of %s cannot be fetched: %v; it is tried for again", w.project, u.why))
	case w.tries >= mentioned:
		f.waits(ctx, u.why.Error()+"; trying again")
	}
}
