package release

import (
	"fmt"
	"time"

	helmrelease "helm.sh/helm/v3/pkg/release"
)

// situation is all that the choice of the next action depends on.
type situation struct {
	history history
	want    string // the digest of the wanted content
	spec    *Spec
	done    map[Action]bool // what this run has done already
	now     time.Time
}

// decision is the next action, or none with the reason to stop as an error; nil
// says that the release is as it should be.
type decision struct {
	action Action
	err    error
}

// decide chooses the next action.
func decide(s situation) decision {
	last := s.history.last()
	switch {
	case last == nil:
		return s.deploy()
	case last.status.IsPending():
		return s.pending(last)
	}
	switch last.status {
	case helmrelease.StatusUninstalling:
		return decision{action: ActionUninstall}
	case helmrelease.StatusFailed:
		return s.failed(last)
	case helmrelease.StatusDeployed:
		if last.digest == s.want {
			return s.deployed(last)
		}
	default: // uninstalled, superseded, or unknown to us
	}
	if last.failed == s.want {
		if s.done[ActionRollback] || s.done[ActionUninstall] {
			return decision{} // it has failed just now, and was undone
		}
		if err := s.exhausted(last); err != nil {
			return decision{err: err}
		}
	}
	return s.deploy()
}

// deploy is an upgrade if there is something to upgrade. Until the first success
// it is an installation, so that the hooks of an installation run.
func (s situation) deploy() decision {
	if s.history.deployed() != nil {
		return decision{action: ActionUpgrade}
	}
	if last := s.history.last(); last != nil && last.status == helmrelease.StatusSuperseded {
		return decision{action: ActionUpgrade}
	}
	return decision{action: ActionInstall}
}

// pending is a release at which somebody is at work, or was when it died. Only
// the holder of the lease makes revisions of ours, so ours are of the dead.
func (s situation) pending(last *record) decision {
	if last.digest != "" {
		return decision{action: ActionRecover}
	}
	if left := last.changed.Add(s.spec.Timeout).Sub(s.now); left > 0 {
		return decision{err: fmt.Errorf("%w: revision %d is %s by somebody else; unless it ends before, it is taken for dead in %s",
			ErrBusy, last.revision, last.status, left.Round(time.Second))}
	}
	return decision{action: ActionRecover}
}

func (s situation) failed(last *record) decision {
	if last.digest != s.want {
		return s.deploy()
	}
	if s.done[ActionInstall] || s.done[ActionUpgrade] {
		return s.remedy(last)
	}
	if err := s.exhausted(last); err != nil {
		if d := s.remedy(last); d.action != "" {
			return d // the run that failed died before it could
		}
		return decision{err: err}
	}
	return s.deploy()
}

// deployed is a revision with the wanted content. Its tests may be outstanding.
func (s situation) deployed(last *record) decision {
	if !s.spec.Test.Enabled || last.tested == testPassed {
		return decision{}
	}
	if last.tested == "" {
		return decision{action: ActionTest}
	}
	if s.spec.Test.Tolerate {
		return decision{}
	}
	if s.done[ActionTest] {
		return s.remedy(last)
	}
	if err := s.exhausted(last); err != nil {
		if d := s.remedy(last); d.action != "" {
			return d
		}
		return decision{err: err}
	}
	return s.deploy()
}

// remedy undoes the failed revision, if that is asked for and possible.
func (s situation) remedy(failed *record) decision {
	previous := s.history.previous(failed)
	wanted := s.spec.Upgrade.OnFailure
	if previous == nil {
		wanted = s.spec.Install.OnFailure
	}
	switch {
	case wanted == RemedyUninstall:
		return decision{action: ActionUninstall}
	case wanted == RemedyRollback && previous != nil:
		return decision{action: ActionRollback}
	}
	return decision{}
}

// exhausted says that content may not be tried again.
func (s situation) exhausted(last *record) error {
	limit := s.spec.Upgrade.Attempts
	if s.history.previous(last) == nil && last.status != helmrelease.StatusDeployed {
		limit = s.spec.Install.Attempts
	}
	if limit <= 0 || last.attempts < limit {
		return nil
	}
	return fmt.Errorf("%w: %d of %d attempts; change the chart or the values, or allow more attempts", ErrStalled, last.attempts, limit)
}

// failures is how often the wanted content has failed so far.
func (s situation) failures() int {
	last := s.history.last()
	if last != nil && (last.failed == s.want || last.digest == s.want) {
		return last.attempts
	}
	return 0
}
