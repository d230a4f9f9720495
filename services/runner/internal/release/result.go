package release

import (
	"errors"
	"fmt"
	"strings"
)

// Errors that callers branch on. They come wrapped.
var (
	// ErrBusy: another helm is at work on the release. Try again later.
	ErrBusy = errors.New("another operation on the release is in progress")
	// ErrStalled: this content has failed as often as it may be tried. Only other
	// content changes that.
	ErrStalled = errors.New("the release has failed as often as it may be tried")
	// ErrForeign: the release was not made by Towline.
	ErrForeign = errors.New("the release was not made by Towline")
	// ErrLimit: something is larger than this package accepts.
	ErrLimit = errors.New("limit exceeded")
)

// Result is what a run has done and found. It is also filled, as far as known,
// when the run has failed.
type Result struct {
	// Actions are those that were carried out, in order, whether they succeeded or not.
	Actions []Action
	// Revision and Status are of the newest record, in Helm's words. Revision 0
	// means that there is none.
	Revision int
	Status   string
	// Digest identifies the content that was wanted: chart, values and patches.
	Digest string
	// Chart, Version and AppVersion are those of the chart that was wanted.
	Chart, Version, AppVersion string
	// Objects is the number of objects that were compared with the cluster.
	Objects int
	// Drift is what was found changed by others, corrected or not.
	Drift []Change
	// Warnings are for people: failed tests that are tolerated, CRDs that exist.
	Warnings []string
}

// Change is one object that is not as the release says.
type Change struct {
	// Object is its name for people: Deployment shop/web.
	Object string
	// Missing says that it was deleted.
	Missing bool
	// Corrected says that it is as the release says again.
	Corrected bool
	// Fields are the paths that differ, without values, at most maxDriftFields.
	Fields []string
}

// String is the change as one line.
func (c Change) String() string {
	what := "was changed: " + strings.Join(c.Fields, ", ")
	if c.Missing {
		what = "was deleted"
	}
	if c.Corrected {
		what += " (corrected)"
	}
	return c.Object + " " + what
}

// Action is one thing that is done to a release.
type Action string

// The actions.
const (
	ActionInstall   Action = "install"
	ActionUpgrade   Action = "upgrade"
	ActionRollback  Action = "rollback"
	ActionUninstall Action = "uninstall"
	ActionRecover   Action = "recover"
	ActionTest      Action = "test"
	ActionCorrect   Action = "correct"
	ActionSweep     Action = "sweep" // of what failed revisions had left
)

// Failure is an action that did not succeed.
type Failure struct {
	Release string
	Chart   string
	Action  Action
	// Err is the cause, with values of Secrets blackened.
	Err error
	// Remedy is what was done about it, for people; empty if nothing.
	Remedy string
	// Log are Helm's last lines before the failure, oldest first.
	Log []string
}

// Error implements error.
func (f *Failure) Error() string {
	text := fmt.Sprintf("release %s: %s of chart %s: %v", f.Release, f.Action, f.Chart, f.Err)
	if f.Remedy != "" {
		text += "; " + f.Remedy
	}
	if len(f.Log) > 0 {
		text += "\nlast lines of helm:\n  " + strings.Join(f.Log, "\n  ")
	}
	return text
}

// Unwrap gives the cause.
func (f *Failure) Unwrap() error { return f.Err }
