package retry_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/retry"
)

// script plays the results one after the other and records when each attempt
// was made; after the last one it is Done.
type script struct {
	results []retry.Result
	start   time.Time
	at      []time.Duration
}

func (s *script) attempt(context.Context) retry.Result {
	if s.at == nil {
		s.start = time.Now()
	}
	s.at = append(s.at, time.Since(s.start))
	if len(s.at) > len(s.results) {
		return retry.Result{Outcome: retry.Done}
	}
	return s.results[len(s.at)-1]
}

func TestLoopPausesAsTheOutcomeSays(t *testing.T) {
	again, now, failed := retry.Result{Outcome: retry.Again}, retry.Result{Outcome: retry.Now}, retry.Result{Outcome: retry.Failed}
	after := func(o retry.Outcome, d time.Duration) retry.Result { return retry.Result{Outcome: o, After: d} }
	const s = time.Second
	tests := map[string]struct {
		results []retry.Result
		// The attempt after results[i] comes at least low[i] and at most high[i] later.
		low, high []time.Duration
	}{
		"done at once":                       {},
		"again waits the idle pause":         {[]retry.Result{again, again}, []time.Duration{3 * s, 3 * s}, []time.Duration{3 * s, 3 * s}},
		"now waits nothing":                  {[]retry.Result{now, now}, []time.Duration{0, 0}, []time.Duration{0, 0}},
		"failures double up to the bound":    {[]retry.Result{failed, failed, failed, failed, failed}, []time.Duration{s, 2 * s, 4 * s, 5 * s, 5 * s}, []time.Duration{2 * s, 4 * s, 8 * s, 10 * s, 10 * s}},
		"again forgets failures":             {[]retry.Result{failed, failed, again, failed}, []time.Duration{s, 2 * s, 3 * s, s}, []time.Duration{2 * s, 4 * s, 3 * s, 2 * s}},
		"now forgets failures":               {[]retry.Result{failed, failed, now, failed}, []time.Duration{s, 2 * s, 0, s}, []time.Duration{2 * s, 4 * s, 0, 2 * s}},
		"a longer After replaces the idle":   {[]retry.Result{after(retry.Again, 20*s)}, []time.Duration{20 * s}, []time.Duration{20 * s}},
		"a shorter After changes nothing":    {[]retry.Result{after(retry.Again, s)}, []time.Duration{3 * s}, []time.Duration{3 * s}},
		"After may exceed the largest pause": {[]retry.Result{after(retry.Failed, 60*s)}, []time.Duration{60 * s}, []time.Duration{60 * s}},
		"After delays even now":              {[]retry.Result{after(retry.Now, 7*s)}, []time.Duration{7 * s}, []time.Duration{7 * s}},
		"a negative After is ignored":        {[]retry.Result{after(retry.Again, -s)}, []time.Duration{3 * s}, []time.Duration{3 * s}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := retry.Policy{Idle: 3 * s, Min: 2 * s, Max: 10 * s}
				sc := &script{results: tt.results}
				if !p.Loop(t.Context(), sc.attempt) {
					t.Error("Loop = false, want true")
				}
				if len(sc.at) != len(tt.results)+1 {
					t.Fatalf("%d attempts, want %d", len(sc.at), len(tt.results)+1)
				}
				for i := range tt.results {
					pause := sc.at[i+1] - sc.at[i]
					if pause < tt.low[i] || pause > tt.high[i] {
						t.Errorf("pause %d = %s, want %s to %s", i+1, pause, tt.low[i], tt.high[i])
					}
				}
			})
		})
	}
}

func TestLoopEndsAfterTheLastAttemptWithoutAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sc := &script{results: make([]retry.Result, 9)}
		for i := range sc.results {
			sc.results[i].Outcome = retry.Again
		}
		if (retry.Policy{Idle: time.Second, Attempts: 3}).Loop(t.Context(), sc.attempt) {
			t.Error("Loop = true, want false")
		}
		if diff := cmp.Diff([]time.Duration{0, time.Second, 2 * time.Second}, sc.at); diff != "" {
			t.Error(diff)
		}
		if total := time.Since(sc.start); total != 2*time.Second {
			t.Errorf("took %s, want 2s", total)
		}
	})
}

func TestLoopLastAttemptMaySucceed(t *testing.T) {
	sc := &script{}
	if !(retry.Policy{Attempts: 1}).Loop(t.Context(), sc.attempt) {
		t.Error("Loop = false, want true")
	}
}

func TestLoopEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		sc := &script{results: make([]retry.Result, 99)}
		for i := range sc.results {
			sc.results[i].Outcome = retry.Again
		}
		if (retry.Policy{Idle: 3 * time.Second}).Loop(ctx, sc.attempt) {
			t.Error("Loop = true, want false")
		}
		if len(sc.at) != 4 { // 0, 3, 6, 9 s
			t.Errorf("%d attempts, want 4", len(sc.at))
		}
		if took := time.Since(sc.start); took != 10*time.Second {
			t.Errorf("ended after %s, want 10s", took)
		}
	})
}

func TestLoopDoesNotAttemptUnderAnEndedContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	sc := &script{}
	if (retry.Policy{}).Loop(ctx, sc.attempt) || len(sc.at) != 0 {
		t.Errorf("%d attempts, want 0", len(sc.at))
	}
}

func TestLoopPanicsWithoutAnOutcome(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic for the zero Outcome")
		}
	}()
	retry.Policy{}.Loop(t.Context(), func(context.Context) retry.Result { return retry.Result{} })
}

func TestBackoffStaysWithinItsBounds(t *testing.T) {
	tests := map[string]struct {
		p        retry.Policy
		failures int
		base     time.Duration // the pause lies between its half and itself
	}{
		"first":                           {retry.Policy{Min: time.Second, Max: time.Minute}, 1, time.Second},
		"third":                           {retry.Policy{Min: time.Second, Max: time.Minute}, 3, 4 * time.Second},
		"just below the bound":            {retry.Policy{Min: time.Second, Max: time.Minute}, 6, 32 * time.Second},
		"bounded":                         {retry.Policy{Min: time.Second, Max: time.Minute}, 7, time.Minute},
		"after a long outage":             {retry.Policy{Min: time.Second, Max: time.Minute}, 1 << 40, time.Minute},
		"where doubling would overflow":   {retry.Policy{Min: 30 * time.Second, Max: 10 * time.Minute}, 30, 10 * time.Minute},
		"where Max itself nearly does":    {retry.Policy{Min: time.Hour, Max: 1<<63 - 1}, 64, 1<<63 - 1},
		"Min above Max":                   {retry.Policy{Min: time.Hour, Max: time.Minute}, 1, time.Minute},
		"no Min is no hot loop":           {retry.Policy{Max: time.Minute}, 1, time.Minute},
		"nothing set":                     {retry.Policy{}, 5, 0},
		"too short to spread":             {retry.Policy{Min: 1, Max: 1}, 1, 1},
		"before the first counts as that": {retry.Policy{Min: time.Second, Max: time.Minute}, 0, time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for range 200 {
				if d := tt.p.Backoff(tt.failures); d < tt.base/2 || d > tt.base {
					t.Fatalf("Backoff(%d) = %s, want %s to %s", tt.failures, d, tt.base/2, tt.base)
				}
			}
		})
	}
}

func TestBackoffSpreadsReplicas(t *testing.T) {
	seen := map[time.Duration]bool{}
	for range 50 {
		seen[retry.Policy{Min: time.Second, Max: time.Minute}.Backoff(4)] = true
	}
	if len(seen) < 10 {
		t.Errorf("%d different pauses out of 50: replicas would march in step", len(seen))
	}
}

func TestSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		ended, end := context.WithCancel(t.Context())
		end()
		soon, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if !retry.Sleep(t.Context(), 0) || retry.Sleep(ended, 0) || retry.Sleep(ended, time.Hour) {
			t.Error("no time passes, and only a live context makes it true")
		}
		if retry.Sleep(soon, time.Hour) {
			t.Error("the context ended first, and Sleep = true")
		}
		if !retry.Sleep(t.Context(), 4*time.Second) {
			t.Error("the time passed, and Sleep = false")
		}
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("took %s, want 5s", took)
		}
	})
}
