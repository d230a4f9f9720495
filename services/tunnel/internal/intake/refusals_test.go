package intake

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/towline/towline/pkg/ledger/redistest"
	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

func TestThreeRefusalsDisableTheRunnerForAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r refusals
		for range mostRefusals {
			if r.waiting("a") {
				t.Fatal("it waits before the third refusal")
			}
			r.note(true, "a")
		}
		time.Sleep(time.Hour - time.Second)
		if !r.waiting("a") {
			t.Fatal("it does not wait for an hour")
		}
		time.Sleep(time.Second)
		if r.waiting("a") {
			t.Fatal("nothing is asked after the hour")
		}
		if r.note(true, "a"); !r.waiting("a") {
			t.Fatal("the one forced check that fails does not disable it again")
		}
		time.Sleep(time.Hour)
		r.note(false, "a")
		if r.note(true, "a"); r.waiting("a") {
			t.Error("a good answer does not set the count back")
		}
	})
}

func TestAnotherTokenIsAskedForAtOnce(t *testing.T) {
	var r refusals
	for range mostRefusals {
		r.note(true, "old")
	}
	if !r.waiting("old") || r.waiting("new") {
		t.Errorf("old waits %t, new waits %t", r.waiting("old"), r.waiting("new"))
	}
	if r.note(true, "new"); r.waiting("new") {
		t.Error("a new token inherits the refusals of the old one")
	}
}

func TestARefusedTokenIsLeftAlone(t *testing.T) {
	t.Parallel()
	src := &source{ask: func(context.Context, int, string) gitlab.RequestResult {
		return gitlab.RequestResult{Outcome: gitlab.Rejected, Why: errors.New("403")}
	}}
	b := newBench(t, redistest.New(t), src)
	b.refused.inARow = mostRefusals - 1 // without the pauses between the first ones
	b.offer("r1/0")
	stop := b.start()
	b.eventually("it has asked once", func() bool { return src.requests() == 1 })
	deadline := time.After(1500 * time.Millisecond) // longer than the pause after a failure
	<-deadline
	stop()
	if src.requests() != 1 || b.tickets() != 1 {
		t.Errorf("%d requests, %d tickets", src.requests(), b.tickets())
	}
}
