package syncs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/towline/towline/pkg/syncspec"
	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

func (w *world) DefaultBranch(context.Context, string, string) (string, error) { return "main", nil }

func (w *world) CreateDeployment(_ context.Context, _ string, project int64, d gitlab.Deployment) (int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.noDeployments {
		return 0, errors.New("not now")
	}
	w.deployments = append(w.deployments, fmt.Sprintf("%d new %s %s %s tag=%t %s", project, d.Environment, d.SHA, d.Ref, d.Tag, d.Status))
	w.lastDeployment++
	return w.lastDeployment, nil
}

func (w *world) UpdateDeployment(_ context.Context, _ string, project, id int64, status string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.noDeployments {
		return errors.New("not now")
	}
	w.deployments = append(w.deployments, fmt.Sprintf("%d %d %s", project, id, status))
	return nil
}

// deployed checks what GitLab was told of deployments.
func (b *bench) deployed(want ...string) {
	b.Helper()
	if got := strings.Join(b.world.deployments, "\n"); got != strings.Join(want, "\n") {
		b.Errorf("%s", got)
	}
}

func TestADeploymentIsRecorded(t *testing.T) {
	production := shop
	production.Environment = "production"
	b := open(t, production)
	f := b.follower("t1")
	f.step(t.Context())
	const first = "42 new production c1 main tag=false running"
	b.deployed(first)
	serial, _ := b.claim("shop")
	b.finish("shop", serial, syncspec.Report{State: syncspec.Failed, Commit: "c1", Entry: "shop", Problems: []string{"x"}})
	f.step(t.Context())
	f.outlook.asked.Store(true)
	f.step(t.Context())
	b.deployed(first, "42 1 failed")
	// The next tunnel knows the record, and says nothing twice.
	if err := b.ledger.LeaveSync(t.Context(), "shop", "t1"); err != nil {
		t.Fatal(err)
	}
	next := b.follower("t2")
	next.step(t.Context())
	b.deployed(first, "42 1 failed")
	serial, _ = b.claim("shop")
	b.finish("shop", serial, syncspec.Report{State: syncspec.Succeeded, Commit: "c1", Entry: "shop", Objects: 1})
	next.step(t.Context())
	b.deployed(first, "42 1 failed", "42 1 success")
	// A later comparison that fails does not undo a deployment.
	next.deploy(t.Context(), "c1", "failed")
	next.deploy(t.Context(), "c1", "pending")
	b.deployed(first, "42 1 failed", "42 1 success")
}

func TestANewerCommitCancelsTheRecordOfAnOlderOne(t *testing.T) {
	production := shop
	production.Environment, production.Ref.Branch = "production", "release"
	b := open(t, production)
	f := b.follower("t1")
	f.step(t.Context())
	serial, _ := b.claim("shop")
	b.world.head = "c2"
	f.step(t.Context())
	b.finish("shop", serial, syncspec.Report{State: syncspec.Succeeded, Commit: "c1", Entry: "shop", Objects: 1})
	f.step(t.Context())
	b.deployed("42 new production c1 release tag=false running", "42 1 canceled", "42 new production c2 release tag=false running")
}

func TestARecordThatCouldNotBeMadeIsMadeWithTheResult(t *testing.T) {
	production := shop
	production.Environment, production.Ref.Tag = "production", "v1"
	b := open(t, production)
	b.world.noDeployments = true
	f := b.follower("t1")
	f.step(t.Context())
	b.world.noDeployments = false
	serial, _ := b.claim("shop")
	b.finish("shop", serial, syncspec.Report{State: syncspec.Succeeded, Commit: "c1", Entry: "shop", Objects: 1})
	f.step(t.Context())
	b.deployed("42 new production c1 v1 tag=true success")
	if len(b.world.statuses) != 2 {
		t.Errorf("statuses: %v", b.world.statuses)
	}
}

// What GitLab could not be told it is told later, by whichever tunnel.
func TestARecordThatIsOwed(t *testing.T) {
	production := shop
	production.Environment, production.Ref.Branch = "production", "release"
	b := open(t, production)
	f := b.follower("t1")
	f.step(t.Context())
	serial, _ := b.claim("shop")
	b.world.noDeployments = true
	b.finish("shop", serial, syncspec.Report{State: syncspec.Succeeded, Commit: "c1", Entry: "shop", Objects: 1})
	f.step(t.Context())
	b.world.noDeployments = false
	f.step(t.Context())
	const first = "42 new production c1 release tag=false running"
	b.deployed(first) // it is not asked at each look
	if err := b.ledger.LeaveSync(t.Context(), "shop", "t1"); err != nil {
		t.Fatal(err)
	}
	next := b.follower("t2")
	next.step(t.Context())
	next.step(t.Context())
	b.deployed(first, "42 1 success")
	b.world.noDeployments, b.world.head = true, "c2"
	next.step(t.Context())
	b.world.noDeployments, next.deployments.at = false, time.Time{}
	next.step(t.Context())
	b.deployed(first, "42 1 success", "42 new production c2 release tag=false running")
}

func TestWithoutAnEnvironmentNothingIsRecorded(t *testing.T) {
	b := open(t, shop)
	b.follower("t1").step(t.Context())
	b.deployed()
}
