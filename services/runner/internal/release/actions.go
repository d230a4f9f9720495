package release

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"

	"helm.sh/helm/v3/pkg/action"
	helmrelease "helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage/driver"
)

// Results of tests in labelTested.
const (
	testPassed = "passed"
	testFailed = "failed"
)

// perform carries out one action.
func (r *run) perform(ctx context.Context, a Action) error {
	switch a {
	case ActionInstall:
		return r.install(ctx)
	case ActionUpgrade:
		return r.upgrade(ctx)
	case ActionRollback:
		return r.rollback()
	case ActionUninstall:
		return r.remove()
	case ActionRecover:
		return r.recover()
	case ActionTest:
		return r.test(ctx)
	case ActionCorrect, ActionSweep: // have their own ways, see watchDrift and tidy
	}
	return fmt.Errorf("there is no action %q", a)
}

// labels are those of the next revision.
func (r *run) labels() map[string]string {
	s := situation{history: r.history, want: r.digest}
	next := 1
	if last := r.history.last(); last != nil {
		next = last.revision + 1
	}
	return map[string]string{
		labelDigest:   mark(next, r.digest),
		labelAttempts: strconv.Itoa(s.failures()),
		labelFailed:   noLabel,
		labelTested:   noLabel,
		labelSwept:    noLabel,
	}
}

func (r *run) install(ctx context.Context) error {
	if err := r.applyCRDs(ctx); err != nil {
		return err
	}
	a := r.installation()
	a.Labels = r.labels()
	maps.DeleteFunc(a.Labels, func(_, value string) bool { return value == noLabel })
	r.config.Releases.MaxHistory = 0 // see tidy
	_, err := a.RunWithContext(context.WithoutCancel(ctx), r.chart, r.values)
	return err
}

func (r *run) upgrade(ctx context.Context) error {
	if err := r.applyCRDs(ctx); err != nil {
		return err
	}
	a := r.upgrading()
	a.Labels = r.labels()
	_, err := a.RunWithContext(context.WithoutCancel(ctx), r.spec.Name, r.chart, r.values)
	return err
}

// installation and upgrading are the library's actions as a run uses them.
func (r *run) installation() *action.Install {
	a := action.NewInstall(r.config)
	a.ReleaseName, a.Namespace, a.CreateNamespace = r.spec.Name, r.spec.Namespace, r.spec.CreateNamespace
	a.Timeout, a.Wait, a.WaitForJobs = r.spec.Timeout, r.spec.Wait, r.spec.WaitForJobs
	a.Replace = len(r.history) > 0 // of what failed or was uninstalled
	a.SkipCRDs = true              // they are there
	a.PostRenderer = postRenderer{patches: r.spec.Patches}
	return a
}

func (r *run) upgrading() *action.Upgrade {
	a := action.NewUpgrade(r.config)
	a.Namespace, a.MaxHistory, a.Force = r.spec.Namespace, 0, r.spec.Force // see tidy
	a.Timeout, a.Wait, a.WaitForJobs = r.spec.Timeout, r.spec.Wait, r.spec.WaitForJobs
	a.ResetValues = true // no values means none, not those of the last revision
	a.SkipCRDs = true
	a.PostRenderer = postRenderer{patches: r.spec.Patches}
	return a
}

// rollback goes back to what was deployed before, and notes what failed.
func (r *run) rollback() error {
	last := r.history.last()
	previous := r.history.previous(last)
	a := action.NewRollback(r.config)
	a.Version, a.Force = previous.revision, r.spec.Force
	a.Timeout, a.Wait, a.WaitForJobs = r.spec.Timeout, r.spec.Wait, r.spec.WaitForJobs
	if err := a.Run(r.spec.Name); err != nil {
		return err
	}
	return r.annotate(func(rel *helmrelease.Release) {
		rel.Labels[labelFailed], rel.Labels[labelAttempts] = r.digest, strconv.Itoa(last.attempts)
		rel.Labels[labelDigest] = mark(rel.Version, previous.digest)
		delete(rel.Labels, labelTested)
	})
}

// remove undoes an installation. The history stays, for it says what failed.
func (r *run) remove() error {
	if err := r.uninstall(true); err != nil {
		return err
	}
	return r.annotate(func(rel *helmrelease.Release) {
		if r.done[ActionInstall] || r.done[ActionUpgrade] || r.done[ActionTest] {
			rel.Labels[labelFailed] = r.digest
		}
	})
}

func (r *run) uninstall(keepHistory bool) error {
	a := action.NewUninstall(r.config)
	a.KeepHistory, a.IgnoreNotFound = keepHistory, true
	a.Wait, a.Timeout = r.spec.Wait, r.spec.Timeout
	_, err := a.Run(r.spec.Name)
	return err
}

// recover makes a revision that was left in the middle a failed one. It does not
// count as an attempt.
func (r *run) recover() error {
	return r.annotate(func(rel *helmrelease.Release) {
		rel.Info.Status = helmrelease.StatusFailed
		rel.Info.Description = "Interrupted: whoever was at work on it has died"
	})
}

// count notes on the newest record that its content has failed once more. What
// was interrupted has not failed, so this comes after an action that came to its
// end, not before it. An action that failed before it made a record is not on any.
func (r *run) count(a Action) error {
	if a != ActionInstall && a != ActionUpgrade && a != ActionTest {
		return nil
	}
	return r.annotate(func(rel *helmrelease.Release) {
		if rel.Labels[labelDigest] == mark(rel.Version, r.digest) {
			before, _ := strconv.Atoi(rel.Labels[labelAttempts])
			rel.Labels[labelAttempts] = strconv.Itoa(before + 1)
		}
	})
}

// test runs the test hooks of the deployed revision. What interrupts them says
// nothing of the revision.
func (r *run) test(ctx context.Context) error {
	a := action.NewReleaseTesting(r.config)
	a.Namespace, a.Timeout = r.spec.Namespace, r.spec.Timeout
	_, failed := a.Run(r.spec.Name)
	if failed != nil && ctx.Err() != nil {
		return failed
	}
	verdict := testPassed
	if failed != nil {
		verdict = testFailed
	}
	err := r.annotate(func(rel *helmrelease.Release) { rel.Labels[labelTested] = mark(rel.Version, verdict) })
	if failed != nil && r.spec.Test.Tolerate {
		r.result.Warnings = append(r.result.Warnings, r.secrets.hide("the tests failed: "+failed.Error()))
		failed = nil
	}
	return errors.Join(failed, err)
}

// annotate changes the newest record.
func (r *run) annotate(change func(*helmrelease.Release)) error {
	rel, err := r.config.Releases.Last(r.spec.Name)
	if errors.Is(err, driver.ErrReleaseNotFound) {
		return nil // nothing is left to write on
	}
	if err != nil {
		return fmt.Errorf("read the newest record: %w", err)
	}
	for _, label := range driver.GetSystemLabels() {
		delete(rel.Labels, label)
	}
	change(rel)
	if err := r.config.Releases.Update(rel); err != nil {
		return fmt.Errorf("write the record of revision %d: %w", rel.Version, err)
	}
	return nil
}
