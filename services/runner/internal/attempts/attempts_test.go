package attempts

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestNumberOfAttempts(t *testing.T) {
	for value, want := range map[string]int{"": 1, "1": 1, "3": 3, "10": 10, "0": 1, "-1": 1, "99": 10, "x": 1} {
		warned := ""
		s := Stage{Variable: "X_ATTEMPTS", Value: value, Warn: func(text string) { warned = text }}
		if n := s.Number(); n != want {
			t.Errorf("%q: %d attempts, want %d", value, n, want)
		}
		bad := value == "0" || value == "-1" || value == "99" || value == "x"
		if bad != strings.Contains(warned, "X_ATTEMPTS: number of attempts out of the range [1, 10]") {
			t.Errorf("%q: warning %q", value, warned)
		}
	}
}

func TestPausesGrowBetweenAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var at []time.Duration
		again := 0
		bad := errors.New("bad")
		s := Stage{
			Value: "10", Warn: func(string) {}, Failed: func(error) error { again++; return nil },
			Try: func(context.Context) error { at = append(at, time.Since(began)); return bad },
		}
		if err := s.Do(t.Context()); !errors.Is(err, bad) {
			t.Errorf("error %v", err)
		}
		if len(at) != 10 || again != 9 || at[1] != 5*time.Second || at[2] != 15*time.Second || at[9]-at[8] != 5*time.Minute {
			t.Errorf("attempts at %v, %d repeated", at, again)
		}
	})
}

func TestTheLastAttemptDecides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		s := Stage{Value: "3", Warn: func(string) {}, Failed: func(error) error { return nil }, Try: func(context.Context) error {
			if n++; n < 3 {
				return errors.New("not yet")
			}
			return nil
		}}
		if err := s.Do(t.Context()); err != nil || n != 3 {
			t.Errorf("error %v after %d attempts", err, n)
		}
	})
}

func TestTheEndOfTheContextEndsThePause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		gone := errors.New("gone")
		s := Stage{Value: "3", Warn: func(string) {}, Try: func(context.Context) error { return errors.New("bad") }}
		go func() { synctest.Wait(); cancel(gone) }()
		if err := s.Do(ctx); !errors.Is(err, gone) {
			t.Errorf("error %v", err)
		}
	})
}
