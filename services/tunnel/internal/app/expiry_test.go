package app

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/towline/towline/pkg/outputtest"
	"github.com/towline/towline/pkg/service"
)

func TestATokenThatEnds(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	start := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	var log outputtest.Buffer
	h := service.NewHealth(slog.New(slog.NewTextHandler(&log, nil)))
	e := newExpiry(h, prometheus.NewRegistry())
	step := func(what, token string, expires time.Time, after time.Duration, warned bool) {
		t.Helper()
		e.note(token, expires, start.Add(after))
		link := h.Report().Links["runner token"]
		if strings.Contains(link, "it ends at "+expires.Format(time.RFC3339)) != warned || !h.Report().Ready {
			t.Errorf("%s: %q, ready %t", what, link, h.Report().Ready)
		}
		want := float64(0)
		if !expires.IsZero() {
			want = float64(expires.Unix())
		}
		if got := testutil.ToFloat64(e.when); got != want {
			t.Errorf("%s: figure %f, want %f", what, got, want)
		}
	}
	step("endless", "a", time.Time{}, 0, false)
	step("with an end", "b", start.Add(100*day), 0, false)
	step("before three quarters", "b", start.Add(100*day), 74*day, false)
	step("after three quarters", "b", start.Add(100*day), 76*day, true)
	step("later", "b", start.Add(100*day), 77*day, true)
	step("replaced", "c", start.Add(170*day), 78*day, false)
	step("seen first in its last week", "d", start.Add(84*day), 78*day, true)
	step("over", "d", start.Add(84*day), 85*day, true)
	step("endless again", "e", time.Time{}, 86*day, false)
	if n := strings.Count(log.String(), "with a remark"); n != 2 {
		t.Errorf("warned %d times:\n%s", n, &log)
	}
}
