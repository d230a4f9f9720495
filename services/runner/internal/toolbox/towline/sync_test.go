package towline

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/towline/towline/pkg/syncspec"
	"github.com/towline/towline/services/runner/internal/inquiry"
	"github.com/towline/towline/services/runner/internal/syncer"
	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

const theCommit = "3f2a91c0b7e4d5a6f8091a2b3c4d5e6f70819203"

// story is a runner whose answers come one after the other; the last one stays.
type story struct {
	answers []inquiry.Answer
	asked   []inquiry.Question
}

func (s *story) ask(_ context.Context, q inquiry.Question) (inquiry.Answer, error) {
	a := s.answers[min(len(s.asked), len(s.answers)-1)]
	s.asked = append(s.asked, q)
	if a.Refusal == "none" {
		return a, errors.New("the runner does not answer")
	}
	return a, nil
}

// syncs runs the command and returns its output without the times of its lines.
func (s *story) syncs(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e strings.Builder
	synctest.Test(t, func(t *testing.T) {
		code = New(nil, s.ask, syncer.Outside{}).Run(t.Context(), tool.Invocation{Args: append([]string{"sync"}, args...), Stdout: &o, Stderr: &e})
	})
	var lines []string
	for line := range strings.Lines(o.String()) {
		if at, rest, ok := strings.Cut(line, "  "); ok && len(at) == len(time.TimeOnly) {
			line = rest
		}
		lines = append(lines, line)
	}
	return code, strings.Join(lines, ""), e.String()
}

func at(p inquiry.Phase, r *syncspec.Report) inquiry.Answer {
	return inquiry.Answer{Entry: "acme/shop", Project: "acme/shop", Ref: "branch main", Commit: theCommit, Head: theCommit, Phase: p, Result: r}
}

var good = &syncspec.Report{State: syncspec.Succeeded, Commit: theCommit, Objects: 3, Counts: map[string]int{"configured": 1}, Millis: 840}

func TestSyncWaits(t *testing.T) {
	old := at(inquiry.Unseen, nil)
	old.Head = "0000000011112222"
	s := &story{answers: []inquiry.Answer{old, old, at(inquiry.Queued, nil), at(inquiry.Running, nil), at(inquiry.Running, nil), at(inquiry.Applied, good)}}
	code, out, errs := s.syncs(t, "acme/shop", "--wait")
	want := "waits for 3f2a91c0: branch main stands at 00000000\n3f2a91c0 waits for its turn\n3f2a91c0 is being applied\n" +
		"acme/shop: 3f2a91c0 is applied, in 840ms: 3 objects, 1 configured\n"
	if code != 0 || out != want || errs != "" {
		t.Errorf("%d\n%s%s", code, out, errs)
	}
	if q := s.asked[0]; !q.Wake || q.Entry != "acme/shop" || q.Since != nil || s.asked[1].Since == nil || s.asked[1].Wake {
		t.Errorf("%+v", s.asked)
	}
}

func TestSyncTriesWhatHasFailedAgain(t *testing.T) {
	bad := &syncspec.Report{State: syncspec.Failed, Commit: theCommit, Problems: []string{"k8s/a.yaml:12: ConfigMap shop/a failed: .dta: unknown", "b"}, More: 3}
	s := &story{answers: []inquiry.Answer{at(inquiry.Failed, bad), at(inquiry.Queued, nil), at(inquiry.Failed, bad)}}
	code, out, errs := s.syncs(t, "--wait")
	if code != exitFailure || !strings.HasPrefix(out, "3f2a91c0 has failed: k8s/a.yaml:12: ConfigMap shop/a failed: .dta: unknown (and 4 more)\n") {
		t.Errorf("%d\n%s", code, out)
	}
	want := "towline sync: acme/shop: 3f2a91c0 has failed:\n  k8s/a.yaml:12: ConfigMap shop/a failed: .dta: unknown\n  b\n  and 3 more\n"
	if errs != want || len(s.asked) != 3 {
		t.Errorf("%d questions\n%s", len(s.asked), errs)
	}
}

func TestSyncEnds(t *testing.T) {
	newer, suspended, held := *good, at(inquiry.Queued, nil), at(inquiry.Queued, nil)
	newer.Commit, newer.Warnings = "99999999aaaa", []string{"careful"}
	suspended.Suspended, suspended.Note = true, "the entry is suspended"
	held.Note = "the entry is outside of its windows"
	tests := map[string]struct {
		answers []inquiry.Answer
		args    string
		code    int
		want    string // in what is printed
	}{
		"a newer commit":      {[]inquiry.Answer{at(inquiry.Applied, &newer)}, "--wait", 0, "99999999 came after 3f2a91c0 and holds it\nwarning: careful\nacme/shop: 99999999 is applied"},
		"without waiting":     {[]inquiry.Answer{at(inquiry.Running, nil)}, "acme/shop", 0, "acme/shop: 3f2a91c0 is being applied; it is looked at now\n"},
		"suspended":           {[]inquiry.Answer{suspended}, "--wait", 1, "(the entry is suspended)"},
		"not in time":         {[]inquiry.Answer{held}, "--wait --timeout=7s", 124, "towline sync: not applied within 7s: 3f2a91c0 waits for its turn (the entry is outside of its windows)\n"},
		"not allowed":         {[]inquiry.Answer{{Refusal: "jobs of x may not ask"}}, "--wait", 1, "towline sync: jobs of x may not ask\n"},
		"Redis is away":       {[]inquiry.Answer{{Refusal: "not now", Again: true}, {Refusal: "not now", Again: true}, at(inquiry.Applied, good)}, "--wait", 0, "is applied"},
		"a silent runner":     {[]inquiry.Answer{{Refusal: "none"}}, "--wait", 1, "towline sync: the runner does not answer\n"},
		"one missing answer":  {[]inquiry.Answer{{Refusal: "none"}, at(inquiry.Applied, good)}, "--wait", 0, "is applied"},
		"two names":           {nil, "a b", 2, "towline sync: name one entry\n"},
		"a branch for commit": {nil, "a --commit main", 2, "write its whole SHA"},
		"no time":             {nil, "a --timeout=0s", 2, "--timeout has to be more than 0"},
		"an unknown flag":     {nil, "--fast", 2, "unknown flag"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := &story{answers: tt.answers}
			code, out, errs := s.syncs(t, strings.Fields(tt.args)...)
			if code != tt.code || !strings.Contains(out+errs, tt.want) {
				t.Errorf("%d\n%s%s", code, out, errs)
			}
		})
	}
}

func TestSyncKeepsToTheCommitThatTheLookHasFound(t *testing.T) {
	looking, found, later := at(inquiry.Looking, nil), at(inquiry.Queued, nil), at(inquiry.Applied, good)
	looking.Commit = ""
	found.Now.Answered = 1
	stale := later
	stale.Floating = true
	s := &story{answers: []inquiry.Answer{stale, looking, found, found, later}}
	if code, out, errs := s.syncs(t, "other", "--wait"); code != 0 || !strings.Contains(out, "the source is looked at\n") || len(s.asked) != 5 {
		t.Errorf("%d %s%s", code, out, errs)
	}
	for i, want := range []string{"", "", "", theCommit, theCommit} {
		if s.asked[i].Commit != want {
			t.Errorf("question %d is about %q", i, s.asked[i].Commit)
		}
	}
}

func TestOutsideOfAJobThereIsNobodyToAsk(t *testing.T) {
	var errs strings.Builder
	code := New(nil, nil, syncer.Outside{}).Run(t.Context(), tool.Invocation{Args: []string{"sync", "a"}, Stderr: &errs})
	if code != exitFailure || !strings.Contains(errs.String(), "works in a job only") {
		t.Errorf("%d %s", code, &errs)
	}
}
