package gitlabsim

import (
	"net/http"
	"testing"
	"time"
)

func TestTwoPhases(t *testing.T) {
	clk := newClock()
	f := newFixture(t, Options{TwoPhase: true, Now: clk.Now})
	f.info["features"].(map[string]any)["two_phase_job_commit"] = true
	f.pipeline(simpleYAML)
	j := f.takeOnly()
	state := func(want Status) {
		t.Helper()
		if got, err := f.Job(j.id); err != nil || got.Status != want {
			t.Fatalf("job is %s (%v), want %s", got.Status, err, want)
		}
	}
	state(Pending)
	f.wantStatus(f.poll(), http.StatusNoContent) // another runner, or the same one, gets nothing
	f.wantStatus(j.put(map[string]any{"state": "success"}), http.StatusBadRequest)
	clk.add(ackWithin - time.Second)
	f.wantStatus(j.put(map[string]any{"state": "pending"}), http.StatusOK) // keeps it waiting
	state(Pending)
	clk.add(ackWithin - time.Second)
	f.wantStatus(j.put(map[string]any{"state": "running"}), http.StatusOK)
	state(Running)
	f.wantStatus(j.put(map[string]any{"state": "pending"}), http.StatusBadRequest)
	f.ResetAnomalies() // pending on a running job is one
}

func TestALateConfirmationIsRefused(t *testing.T) {
	clk := newClock()
	f := newFixture(t, Options{TwoPhase: true, Now: clk.Now})
	f.info["features"].(map[string]any)["two_phase_job_commit"] = true
	f.pipeline(simpleYAML)
	j := f.takeOnly()
	clk.add(ackWithin)
	f.wantStatus(j.put(map[string]any{"state": "running"}), http.StatusBadRequest)
	if again := f.takeOnly(); again.id != j.id || again.token == j.token {
		t.Errorf("job %d is offered, want %d with a new token", again.id, j.id)
	}
}
