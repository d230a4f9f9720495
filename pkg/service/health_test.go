package service_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/service"
)

var quiet = slog.New(slog.DiscardHandler)

// lines is a logger whose lines come back without their time.
func lines(t *testing.T) (*slog.Logger, func() []string) {
	t.Helper()
	var buf bytes.Buffer
	log, err := service.NewLogger(&buf, "tunnel", "text", "debug")
	if err != nil {
		t.Fatal(err)
	}
	return log, func() []string {
		var out []string
		for l := range strings.Lines(buf.String()) {
			_, l, _ = strings.Cut(strings.TrimSpace(l), " ")
			out = append(out, l)
		}
		return out
	}
}

func TestHealthIsReadyWhileEveryLinkIsUp(t *testing.T) {
	h := service.NewHealth(quiet)
	if !h.Report().Ready {
		t.Error("not ready, though it needs nothing")
	}
	gitlab, redis := h.Link("gitlab"), h.Link("redis")
	check := func(want service.Report) {
		t.Helper()
		if diff := cmp.Diff(want, h.Report()); diff != "" {
			t.Error(diff)
		}
	}
	check(service.Report{Links: map[string]string{"gitlab": "not connected yet", "redis": "not connected yet"}})
	gitlab.Up()
	check(service.Report{Links: map[string]string{"gitlab": "up", "redis": "not connected yet"}})
	redis.Up()
	check(service.Report{Ready: true, Links: map[string]string{"gitlab": "up", "redis": "up"}})
	redis.Remark("an old one")
	check(service.Report{Ready: true, Links: map[string]string{"gitlab": "up", "redis": "up; an old one"}})
	redis.Up()
	gitlab.Down(errors.New("401: check the token"))
	check(service.Report{Links: map[string]string{"gitlab": "401: check the token", "redis": "up"}})
}

func TestHealthLogsEachTransitionOnce(t *testing.T) {
	log, logged := lines(t)
	l := service.NewHealth(log).Link("redis")
	for range 3 {
		l.Up()
	}
	for range 3 {
		l.Down(errors.New("connection refused"))
	}
	l.Down(errors.New("wrong password"))
	l.Remark("an old one")
	l.Remark("an old one")
	l.Up()
	want := []string{
		`level=INFO msg="link is up" service=tunnel link=redis`,
		`level=WARN msg="link is down" service=tunnel link=redis error="connection refused"`,
		`level=WARN msg="link is down" service=tunnel link=redis error="wrong password"`,
		`level=WARN msg="link is up, with a remark" service=tunnel link=redis remark="an old one"`,
		`level=INFO msg="link is up" service=tunnel link=redis`,
	}
	if diff := cmp.Diff(want, logged()); diff != "" {
		t.Error(diff)
	}
}

func TestHealthMayBeUsedFromEverywhere(t *testing.T) {
	h := service.NewHealth(quiet)
	var wg sync.WaitGroup
	for i := range 8 {
		l := h.Link(fmt.Sprint("link", i%4))
		wg.Go(func() {
			for range 100 {
				l.Down(io.ErrUnexpectedEOF)
				h.Report()
				l.Up()
			}
		})
	}
	wg.Wait()
	if r := h.Report(); !r.Ready {
		t.Errorf("not ready in the end: %v", r.Links)
	}
}

func TestLoggerWritesJSONWithTheServiceAndTheJob(t *testing.T) {
	var buf bytes.Buffer
	log, err := service.NewLogger(&buf, "runner", "json", "warn")
	if err != nil {
		t.Fatal(err)
	}
	log.Info("below the level")
	log.Warn("script ended", service.JobID(1001), service.Err(errors.New("exit status 1")))
	var got map[string]any
	if err := json.Unmarshal(buf.Bytes(), &got); err != nil {
		t.Fatalf("%v in %q", err, buf.String())
	}
	delete(got, "time")
	want := map[string]any{"level": "WARN", "msg": "script ended", "service": "runner", "job_id": 1001.0, "error": "exit status 1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestLoggerRefusesUnknownSettings(t *testing.T) {
	for _, tt := range []struct{ format, level, want string }{
		{"json", "loud", "--log-level=loud: use debug, info, warn or error"},
		{"json", "", "--log-level=: use debug, info, warn or error"},
		{"xml", "info", "--log-format=xml: use json or text"},
	} {
		if _, err := service.NewLogger(io.Discard, "x", tt.format, tt.level); err == nil || err.Error() != tt.want {
			t.Errorf("error = %v, want %s", err, tt.want)
		}
	}
}
