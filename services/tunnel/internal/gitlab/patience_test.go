package gitlab_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/towline/towline/pkg/pace"
	"github.com/towline/towline/pkg/pace/pacetest"
	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

// Archives are waited for while they come, and not while they hardly do.
func TestSlowArchives(t *testing.T) {
	text := make([]byte, 4<<20)
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		want   string
		is     error
		takes  time.Duration
	}{
		"merely slow": {pacetest.Trickle(text, 16<<10), "", nil, 256 * time.Second},
		"too slow":    {pacetest.Trickle(text, 8<<10), "GitLab has not answered in full within 5m0s", context.DeadlineExceeded, 5 * time.Minute},
		"trickling":   {pacetest.Trickle(text, 1), "it comes too slowly: ", pace.ErrTooSlow, 30 * time.Second},
		"stalled":     {pacetest.Stall(text[:1<<20]), "it comes too slowly: 0 bytes in 30s", pace.ErrTooSlow, time.Minute},
		"silent":      {pacetest.Silent, "it comes too slowly: no answer in 1m0s", pace.ErrTooSlow, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				transport, stop := pacetest.Serve(tt.answer)
				defer stop()
				c := client(t, "http://gitlab.example.com", &http.Client{Transport: transport})
				begun := time.Now()
				got, err := c.Archive(t.Context(), "secret", "acme/shop", "c1", "")
				if took := time.Since(begun); took != tt.takes || tt.is == nil && len(got) != len(text) {
					t.Errorf("%d bytes in %s, want %s", len(got), took, tt.takes)
				}
				if !errors.Is(err, tt.is) || err != nil && !strings.HasPrefix(err.Error(), tt.want) {
					t.Errorf("%v, want %q", err, tt.want)
				}
			})
		})
	}
}

// What is no archive has a minute, and an earlier end of the caller's stays one.
func TestSlowAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		transport, stop := pacetest.Serve(pacetest.Trickle(make([]byte, 1000), 10))
		defer stop()
		c := client(t, "http://gitlab.example.com", &http.Client{Transport: transport})
		begun := time.Now()
		if _, err := c.Commit(t.Context(), "secret", "acme/shop", "main", ""); err == nil || err.Error() != "GitLab has not answered in full within 1m0s" || time.Since(begun) != time.Minute {
			t.Errorf("%v after %s", err, time.Since(begun))
		}
		mine := errors.New("not that long")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second/2, mine)
		defer cancel()
		if _, err := c.Archive(ctx, "secret", "acme/shop", "c1", ""); err == nil || !errors.Is(context.Cause(ctx), mine) {
			t.Error(err)
		}
	})
}

// A call about a job that nobody answers does not hold up the next for long.
func TestSilentCallsAboutAJob(t *testing.T) {
	for name, tt := range map[string]struct {
		call  func(ctx context.Context, c *gitlab.Client) error
		takes time.Duration
	}{
		"pulse": {func(ctx context.Context, c *gitlab.Client) error {
			return c.UpdateJob(ctx, 1, jobToken, gitlab.Update{State: "running"}).Why
		}, 10 * time.Second},
		"final state": {func(ctx context.Context, c *gitlab.Client) error {
			return c.UpdateJob(ctx, 1, jobToken, gitlab.Update{State: "success"}).Why
		}, 15 * time.Second},
		"piece": {func(ctx context.Context, c *gitlab.Client) error {
			return c.PatchTrace(ctx, 1, jobToken, 0, []byte("x"), false).Why
		}, 15 * time.Second},
		"largest piece": {func(ctx context.Context, c *gitlab.Client) error {
			return c.PatchTrace(ctx, 1, jobToken, 0, make([]byte, gitlab.MaxPatch), false).Why
		}, 47 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				transport, stop := pacetest.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body)
					pacetest.Silent(w, r)
				}))
				defer stop()
				c := client(t, "http://gitlab.example.com", &http.Client{Transport: transport})
				begun := time.Now()
				err := tt.call(t.Context(), c)
				if took := time.Since(begun); took != tt.takes || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%v after %s, want %s", err, took, tt.takes)
				}
			})
		})
	}
}
