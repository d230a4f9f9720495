package service_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/service"
)

// journal records what happens in which order.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
}

// stage runs until its context ends, then takes a second to stop.
func (j *journal) stage(name string) service.Stage {
	return service.Stage{Name: name, Run: func(ctx context.Context) error {
		<-ctx.Done()
		j.add(name + " stops")
		time.Sleep(time.Second)
		j.add(name + " ended")
		return ctx.Err()
	}}
}

func TestStagesStopInReverseEachAfterTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		var j journal
		if err := service.RunStages(ctx, j.stage("redis"), j.stage("workers"), j.stage("http")); err != nil {
			t.Errorf("cancellation is an error: %v", err)
		}
		want := []string{"http stops", "http ended", "workers stops", "workers ended", "redis stops", "redis ended"}
		if diff := cmp.Diff(want, j.lines); diff != "" {
			t.Error(diff)
		}
	})
}

func TestStagesEndWithTheFirstErrorAndReportAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken, late := errors.New("connection refused"), errors.New("not flushed")
		var j journal
		err := service.RunStages(t.Context(), j.stage("redis"),
			service.Stage{Name: "poll", Run: func(context.Context) error { time.Sleep(time.Minute); return broken }},
			service.Stage{Name: "report", Run: func(ctx context.Context) error { <-ctx.Done(); return late }},
		)
		if !errors.Is(err, broken) || !errors.Is(err, late) {
			t.Fatalf("error = %v, want both", err)
		}
		want := []string{"poll: connection refused", "report: not flushed"}
		if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"redis stops", "redis ended"}, j.lines); diff != "" {
			t.Error(diff)
		}
	})
}

func TestStageThatIsCanceledByItselfEndsTheService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		err := service.RunStages(ctx, service.Stage{Name: "poll", Run: func(context.Context) error {
			return context.Canceled // not ours: nobody asked it to stop
		}})
		if !errors.Is(err, context.Canceled) || ctx.Err() != nil {
			t.Errorf("error = %v after the hour = %t; want the stage's error at once", err, ctx.Err() != nil)
		}
	})
}

func TestStageThatEndsWithoutAnErrorEndsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		start := time.Now()
		err := service.RunStages(ctx, service.Stage{Name: "once", Run: func(context.Context) error { return nil }})
		if err != nil || time.Since(start) != time.Hour {
			t.Errorf("ended after %s with %v; want an hour and nil", time.Since(start), err)
		}
	})
}

func TestStagesSeeTheValuesOfTheContext(t *testing.T) {
	type key struct{}
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "v"))
	var got any
	err := service.RunStages(ctx, service.Stage{Name: "s", Run: func(ctx context.Context) error {
		got = ctx.Value(key{})
		cancel()
		return nil
	}})
	if err != nil || got != "v" {
		t.Errorf("value = %v, error = %v", got, err)
	}
}
