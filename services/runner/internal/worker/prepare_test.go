package worker

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestAPreparationThatFailsIsTriedThreeTimes(t *testing.T) {
	const said = "\x1b[31;1mERROR: Preparation failed: no process\x1b[0;m\n\x1b[32;1mWill be retried in 3s ...\x1b[0;m\n"
	for name, c := range map[string]struct {
		failures int
		want     string
		err      bool
		took     time.Duration
	}{
		"works":                      {0, "", false, 0},
		"fails twice and then works": {2, said + said, false, 6 * time.Second},
		"fails":                      {3, said + said, true, 6 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log strings.Builder
				began, tries := time.Now(), 0
				got, err := prepared(t.Context(), &log, func() (string, error) {
					if tries++; tries <= c.failures {
						return "", errors.New("no\nprocess")
					}
					return "process", nil
				})
				if (err != nil) != c.err || log.String() != c.want || time.Since(began) != c.took || (got == "process") == c.err {
					t.Errorf("%q, %v after %s: %q", got, err, time.Since(began), log.String())
				}
			})
		})
	}
}

func TestAPreparationEndsWithItsJob(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	tries := 0
	_, err := prepared(ctx, &strings.Builder{}, func() (int, error) { tries++; return 0, errors.New("x") })
	if err == nil || tries != 1 {
		t.Errorf("%v after %d tries", err, tries)
	}
}
