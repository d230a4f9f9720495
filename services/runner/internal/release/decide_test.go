package release

import (
	"errors"
	"slices"
	"testing"
	"time"

	helmrelease "helm.sh/helm/v3/pkg/release"
)

func TestDecide(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	const want, other = "want", "other"
	rec := func(revision int, status helmrelease.Status, digest string) record {
		return record{revision: revision, status: status, digest: digest, attempts: 1, ours: digest != "", changed: now}
	}
	undone := rec(3, helmrelease.StatusDeployed, other)
	undone.failed = want
	removed := rec(1, helmrelease.StatusUninstalled, want)
	removed.failed = want
	interrupted := rec(2, helmrelease.StatusFailed, want)
	interrupted.attempts = 0
	testless := rec(1, helmrelease.StatusDeployed, want)
	testless.tested = testFailed
	for name, tt := range map[string]struct {
		history history // newest first
		done    []Action
		spec    Spec
		action  Action
		err     error
	}{
		"nothing there":           {action: ActionInstall},
		"as it should be":         {history: history{rec(1, helmrelease.StatusDeployed, want)}},
		"other content":           {history: history{rec(1, helmrelease.StatusDeployed, other)}, action: ActionUpgrade},
		"made by helm":            {history: history{rec(1, helmrelease.StatusDeployed, "")}, action: ActionUpgrade},
		"uninstalled with helm":   {history: history{rec(1, helmrelease.StatusUninstalled, want)}, action: ActionInstall},
		"superseded":              {history: history{rec(1, helmrelease.StatusSuperseded, want)}, action: ActionUpgrade},
		"unknown status":          {history: history{rec(1, helmrelease.StatusUnknown, want)}, action: ActionInstall},
		"died installing":         {history: history{rec(1, helmrelease.StatusPendingInstall, other)}, action: ActionRecover},
		"died upgrading":          {history: history{rec(2, helmrelease.StatusPendingUpgrade, want), rec(1, helmrelease.StatusDeployed, other)}, action: ActionRecover},
		"died uninstalling":       {history: history{rec(1, helmrelease.StatusUninstalling, want)}, action: ActionUninstall},
		"helm at work":            {history: history{rec(1, helmrelease.StatusPendingUpgrade, "")}, err: ErrBusy},
		"failed, never succeeded": {history: history{rec(1, helmrelease.StatusFailed, want)}, action: ActionInstall},
		"failed upgrade": {
			history: history{rec(2, helmrelease.StatusFailed, want), rec(1, helmrelease.StatusDeployed, other)}, action: ActionUpgrade,
		},
		"failed just now": {
			history: history{rec(2, helmrelease.StatusFailed, want), rec(1, helmrelease.StatusDeployed, other)}, done: []Action{ActionUpgrade},
		},
		"failed just now, with a remedy": {
			history: history{rec(2, helmrelease.StatusFailed, want), rec(1, helmrelease.StatusDeployed, other)}, done: []Action{ActionUpgrade},
			spec: Spec{Upgrade: Remedy{OnFailure: RemedyRollback}}, action: ActionRollback,
		},
		"nothing to roll back to": {
			history: history{rec(1, helmrelease.StatusFailed, want)}, done: []Action{ActionInstall},
			spec: Spec{Upgrade: Remedy{OnFailure: RemedyRollback}},
		},
		"failed installation, with a remedy": {
			history: history{rec(1, helmrelease.StatusFailed, want)}, done: []Action{ActionInstall},
			spec: Spec{Install: Remedy{OnFailure: RemedyUninstall}}, action: ActionUninstall,
		},
		"no more attempts": {
			history: history{rec(2, helmrelease.StatusFailed, want), rec(1, helmrelease.StatusDeployed, other)},
			spec:    Spec{Upgrade: Remedy{Attempts: 1}}, err: ErrStalled,
		},
		"interrupted": {
			history: history{interrupted, rec(1, helmrelease.StatusDeployed, other)},
			spec:    Spec{Upgrade: Remedy{OnFailure: RemedyRollback, Attempts: 1}}, action: ActionUpgrade,
		},
		"died before the remedy": {
			history: history{rec(2, helmrelease.StatusFailed, want), rec(1, helmrelease.StatusDeployed, other)},
			spec:    Spec{Upgrade: Remedy{OnFailure: RemedyRollback, Attempts: 1}}, action: ActionRollback,
		},
		"rolled back just now":   {history: history{undone}, done: []Action{ActionUpgrade, ActionRollback}},
		"rolled back before":     {history: history{undone}, action: ActionUpgrade},
		"rolled back for good":   {history: history{undone}, spec: Spec{Upgrade: Remedy{Attempts: 1}}, err: ErrStalled},
		"uninstalled for good":   {history: history{removed}, spec: Spec{Install: Remedy{Attempts: 1}}, err: ErrStalled},
		"uninstalled, once more": {history: history{removed}, spec: Spec{Install: Remedy{Attempts: 2}}, action: ActionInstall},
		"tests are outstanding": {
			history: history{rec(1, helmrelease.StatusDeployed, want)}, spec: Spec{Test: Test{Enabled: true}}, action: ActionTest,
		},
		"tests have failed before": {history: history{testless}, spec: Spec{Test: Test{Enabled: true}}, action: ActionUpgrade},
		"tests have failed for good": {
			history: history{testless}, spec: Spec{Test: Test{Enabled: true}, Upgrade: Remedy{Attempts: 1}}, err: ErrStalled,
		},
		"tests are tolerated": {history: history{testless}, spec: Spec{Test: Test{Enabled: true, Tolerate: true}}},
	} {
		t.Run(name, func(t *testing.T) {
			tt.spec.Namespace, tt.spec.Name, tt.spec.Timeout = "shop", "web", time.Minute
			done := map[Action]bool{}
			for _, a := range tt.done {
				done[a] = true
			}
			got := decide(situation{history: tt.history, want: want, spec: &tt.spec, done: done, now: now.Add(time.Second)})
			if got.action != tt.action || !errors.Is(got.err, tt.err) {
				t.Errorf("%q, %v; want %q, %v", got.action, got.err, tt.action, tt.err)
			}
		})
	}
}

func TestLabelsSpeakOfTheirRevision(t *testing.T) {
	labels := map[string]string{"version": "3", "status": "deployed", labelDigest: mark(3, "abc"), labelTested: mark(3, testPassed)}
	if r := newRecord(labels, time.Now()); r.digest != "abc" || r.tested != testPassed || !r.ours {
		t.Errorf("%+v", r)
	}
	labels["version"] = "4" // helm has carried the labels on
	if r := newRecord(labels, time.Now()); r.digest != "" || r.tested != "" || !r.ours {
		t.Errorf("%+v", r)
	}
}

func TestSurplus(t *testing.T) {
	rec := func(revision int, status helmrelease.Status, digest string) record {
		return record{revision: revision, status: status, digest: digest}
	}
	deployed, superseded, failed := helmrelease.StatusDeployed, helmrelease.StatusSuperseded, helmrelease.StatusFailed
	swept := rec(3, failed, "a")
	swept.swept = true
	for name, tt := range map[string]struct {
		history history
		most    int
		want    []int
	}{
		"as in helm":         {history{rec(4, deployed, "c"), rec(3, superseded, "b"), rec(2, superseded, "a")}, 1, []int{2}},
		"more":               {history{rec(4, deployed, "c"), rec(3, superseded, "b"), rec(2, superseded, "a")}, 3, nil},
		"the deployed stays": {history{rec(4, failed, "c"), rec(3, failed, "c"), rec(2, deployed, "a"), rec(1, superseded, "x")}, 1, []int{1}},
		"failed stays until it is swept": {
			history{rec(5, deployed, "d"), rec(4, failed, "c"), rec(3, failed, "c"), rec(2, failed, "b"), rec(1, superseded, "a")}, 1, []int{3, 1},
		},
		"swept": {history{rec(5, deployed, "d"), rec(4, superseded, "c"), swept}, 1, []int{3}},
	} {
		var got []int
		for _, r := range tt.history.surplus(tt.most) {
			got = append(got, r.revision)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}
