package patience_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/towline/towline/pkg/gate"
	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/seal"
	"github.com/towline/towline/services/runner/internal/patience"
)

// pause is the longest between two checks.
const pause = 3 * time.Second

func TestWhatPassesByItselfIsWaitedOut(t *testing.T) {
	for name, tt := range map[string]struct {
		err  error
		want time.Duration
	}{
		"policy does not answer":              {grant.ErrKeysUnavailable, time.Minute},
		"Redis does not answer":               {fmt.Errorf("%w: dial", gate.ErrUnknowable), time.Minute},
		"another slot has the grant":          {gate.ErrInUse, time.Minute},
		"policy does not publish the key":     {fmt.Errorf("%w: %w", grant.ErrInvalid, grant.ErrUnknownKey), 2 * time.Minute},
		"the sealing key is not here":         {fmt.Errorf("payload: %w", seal.ErrUnknownKey), 2 * time.Minute},
		"tampered with":                       {seal.ErrTampered, 0},
		"not a grant":                         {grant.ErrInvalid, 0},
		"expired":                             {fmt.Errorf("%w: %w", grant.ErrInvalid, grant.ErrExpired), 0},
		"anything else, and nothing at all":   {errors.New("the grant is for another sync"), 0},
		"a check that succeeds is not redone": {nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began, checks, told := time.Now(), 0, 0
				err := patience.Usual().Wait(t.Context(), func(error) { told++ }, func() error { checks++; return tt.err })
				took := time.Since(began)
				if err != tt.err || took < tt.want || took > tt.want+pause {
					t.Errorf("%v after %s, want %v after %s", err, took, tt.err, tt.want)
				}
				if most := int(tt.want/time.Second) + 3; checks > most || (tt.want == 0) != (checks == 1) || told != min(1, checks-1) {
					t.Errorf("%d checks, told %d times; want at most %d, told once if there are several", checks, told, most)
				}
			})
		})
	}
}

func TestTheWaitEndsWithSuccessAndWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		err := patience.Usual().Wait(t.Context(), func(error) {}, func() error {
			if time.Since(began) < 30*time.Second {
				return grant.ErrKeysUnavailable
			}
			return nil
		})
		if took := time.Since(began); err != nil || took > 30*time.Second+pause {
			t.Errorf("%v after %s", err, took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		began = time.Now()
		err = patience.Usual().Wait(ctx, func(error) {}, func() error { return grant.ErrKeysUnavailable })
		if took := time.Since(began); !errors.Is(err, grant.ErrKeysUnavailable) || took != 10*time.Second {
			t.Errorf("%v after %s, want it to heed the end", err, took)
		}
		cancel()
		if err = patience.Usual().Wait(ctx, func(error) {}, func() error { t.Error("checked"); return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("%v after the end", err)
		}
	})
}
