package router

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

// api is a GitLab whose API has no job, and that has a router or not.
type api struct {
	GitLab
	address    string
	err        error
	discovered int
	polled     int
}

func (a *api) RequestJob(context.Context, string) gitlab.RequestResult {
	a.polled++
	return gitlab.RequestResult{Outcome: gitlab.NoJob}
}

func (a *api) RouterAddress(context.Context) (string, error) {
	a.discovered++
	return a.address, a.err
}

func newSource(a *api) *Source {
	return &Source{GitLab: a, Token: func() string { return "glrt-x" }, HTTP: &http.Client{}, Log: slog.New(slog.DiscardHandler)}
}

func TestWithoutARouterTheAPIIsUsedAndAskedAgainAfterAnHour(t *testing.T) {
	for name, a := range map[string]*api{"none": {}, "unknown": {err: errors.New("403")}, "of no known kind": {address: "ftp://kas"}, "no address": {address: "wss://"}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSource(a)
				for range 3 {
					s.RequestJob(t.Context(), "")
				}
				time.Sleep(time.Hour - time.Second)
				s.RequestJob(t.Context(), "")
				if a.discovered != 1 || a.polled != 4 {
					t.Fatalf("%d discoveries, %d polls within the hour", a.discovered, a.polled)
				}
				time.Sleep(time.Second)
				if s.RequestJob(t.Context(), ""); a.discovered != 2 || a.polled != 5 {
					t.Errorf("%d discoveries, %d polls after it", a.discovered, a.polled)
				}
			})
		})
	}
}

func TestARouterThatIsSwitchedOffIsForgottenAtOnce(t *testing.T) {
	a := &api{address: "grpc://127.0.0.1:1"}
	s := newSource(a)
	defer s.Close()
	s.discover(t.Context())
	if r := s.failed(t.Context(), status.Error(codes.Unimplemented, ""), ""); r.Outcome != gitlab.NoJob || a.polled != 1 {
		t.Fatalf("%+v after %d polls", r, a.polled)
	}
	if s.discover(t.Context()); a.discovered != 2 {
		t.Errorf("%d discoveries", a.discovered)
	}
}

func TestWhatAFailedCallMeans(t *testing.T) {
	for code, want := range map[codes.Code]gitlab.RequestOutcome{
		codes.Unavailable: gitlab.Failed, codes.DeadlineExceeded: gitlab.Failed, codes.Canceled: gitlab.Failed,
		codes.Unauthenticated: gitlab.Rejected, codes.PermissionDenied: gitlab.Rejected, codes.Internal: gitlab.Failed, codes.ResourceExhausted: gitlab.Failed,
	} {
		a := &api{}
		if r := newSource(a).failed(t.Context(), status.Error(code, "secret"), ""); r.Outcome != want || a.polled != 0 || fmt.Sprint(r.Why) != "GitLab's job router answers "+code.String() {
			t.Errorf("%s: %+v, %d polls", code, r, a.polled)
		}
	}
}

func TestABurstOfFailuresDoesNotOpenTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b breaker
		for range 10 {
			if b.bad() || b.open() {
				t.Fatal("open after a burst")
			}
			time.Sleep(breakerSpan / 20)
		}
	})
}

func TestSustainedFailuresOpenTheBreakerForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &api{address: "grpc://127.0.0.1:1"}
		s := newSource(a)
		defer s.Close()
		down := status.Error(codes.Unavailable, "")
		for range breakerFailures - 1 {
			s.failed(t.Context(), down, "")
			time.Sleep(breakerSpan)
		}
		if a.polled != 0 {
			t.Fatal("the API is used before the breaker is open")
		}
		if s.failed(t.Context(), down, ""); a.polled != 1 || !s.breaker.open() {
			t.Fatalf("%d polls, open %t", a.polled, s.breaker.open())
		}
		time.Sleep(breakerOpen - time.Second)
		if s.RequestJob(t.Context(), ""); a.polled != 2 {
			t.Fatal("the router is asked while the breaker is open")
		}
		time.Sleep(time.Second)
		if s.breaker.open() {
			t.Fatal("no trial after the break")
		}
		if s.failed(t.Context(), down, ""); !s.breaker.open() {
			t.Error("a failed trial does not open it again")
		}
		s.breaker.good()
		if s.failed(t.Context(), down, ""); s.breaker.open() {
			t.Error("a good call does not set the count back")
		}
	})
}

func TestMessages(t *testing.T) {
	b, err := codec{}.Marshal(&message{json: []byte(`{"a":1}`)})
	if want := "\x0a\x07{\"a\":1}"; err != nil || string(b.Materialize()) != want {
		t.Fatalf("%q, %v", b.Materialize(), err)
	}
	for in, want := range map[string]string{
		"":                                    "",
		"\x0a\x00":                            "",
		"\x0a\x01x":                           "x",
		"\x0a\x01x\x0a\x01y":                  "y", // the last counts
		"\x10\x05\x1a\x02zz\x0a\x01x\x25abcd": "x", // unknown fields
	} {
		m := message{json: []byte("old")}
		if err := (codec{}).Unmarshal(mem.BufferSlice{mem.SliceBuffer(in)}, &m); err != nil || string(m.json) != want {
			t.Errorf("%q: %q, %v", in, m.json, err)
		}
	}
	for _, in := range []string{"\x0a", "\x0a\x05x", "\xff", "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"} {
		if err := (codec{}).Unmarshal(mem.BufferSlice{mem.SliceBuffer(in)}, &message{}); err == nil {
			t.Errorf("%q is read", in)
		}
	}
}

func FuzzMessage(f *testing.F) {
	f.Add([]byte("\x0a\x01x"))
	f.Fuzz(func(t *testing.T, in []byte) {
		var m, again message
		if (codec{}).Unmarshal(mem.BufferSlice{mem.SliceBuffer(in)}, &m) != nil {
			return
		}
		b, err := codec{}.Marshal(&m)
		if err != nil || (codec{}).Unmarshal(b, &again) != nil || string(again.json) != string(m.json) {
			t.Errorf("%q becomes %q", m.json, again.json)
		}
	})
}
