package intake

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/ledger/redistest"
	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

// Redis restarts while the request for a job is open: GitLab hears that the job
// is in hands, and it is recorded when Redis is back, also by a tunnel that is
// told to stop meanwhile.
func TestAJobThatArrivesWhileRedisRestarts(t *testing.T) {
	t.Parallel()
	for name, stopped := range map[string]bool{"and the tunnel goes on": false, "and the tunnel is told to stop": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redis := redistest.Private(t)
			src := &source{}
			src.ask = func(_ context.Context, n int, _ string) gitlab.RequestResult {
				if n > 1 {
					return nothing
				}
				if err := redis.Stop(); err != nil {
					t.Error(err)
				}
				return received(1001)
			}
			b := newBench(t, redis, src)
			b.offer("r1/0")
			ended := make(chan struct{})
			stop := b.start()
			end := func() { go func() { stop(); close(ended) }() }
			b.eventually("GitLab is told that it runs", func() bool { return len(src.made()) > 0 })
			if stopped {
				end()
			}
			b.must(redis.Restart(t.Context()))
			b.eventually("the job is taken", func() bool { return len(b.told()) == 1 })
			if !stopped {
				b.eventually("the ticket of another is used", func() bool {
					return b.Ledger.Offer(t.Context(), "r1/1", time.Minute) == nil && src.requests() > 1
				})
				end()
			}
			<-ended
			if b.state(1001) != ledger.Accepted {
				t.Errorf("job is %s", b.state(1001))
			}
			for _, call := range src.made() {
				if call != "PUT 1001 running" {
					t.Errorf("calls = %v", src.made())
				}
			}
		})
	}
}

// TestTheWaitForRedisEnds: a job that cannot be recorded is not kept for good.
func TestTheWaitForRedisEnds(t *testing.T) {
	gone := gitlab.UpdateResult{Outcome: gitlab.UpdateJobGone}
	const running, failed = "PUT 1001 running", "PUT 1001 failed runner_system_failure"
	for name, tt := range map[string]struct {
		updates []gitlab.UpdateResult
		took    time.Duration
		last    []string
		log     string
	}{
		"and the job is failed at GitLab": {nil, recordWithin, []string{running, "PATCH 1001@0", failed}, "could not record this job; it was not started and can be retried"},
		"when GitLab gives the job up":    {[]gitlab.UpdateResult{{Outcome: gitlab.UpdateRetry}, gone}, 2 * tellEvery, []string{running, running}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				t.Cleanup(func() { time.Sleep(time.Minute) }) // so that the closed client has stopped dialling
				src := &source{updates: tt.updates}
				b := benchOn(t, &redistest.Server{URL: "redis://127.0.0.1:1"}, "nowhere", "t1", src)
				began := time.Now()
				b.take(t.Context(), received(1001), "r1/0")
				took := time.Since(began)
				if took < tt.took || took > tt.took+returnWithin+time.Second {
					t.Errorf("it took %s, want %s", took, tt.took)
				}
				calls := src.made()
				if early := int(tt.took / tellEvery); len(calls) < early || len(calls) < len(tt.last) {
					t.Fatalf("calls = %v, want %d before the end", calls, early)
				}
				if diff := cmp.Diff(tt.last, calls[len(calls)-len(tt.last):]); diff != "" {
					t.Error(diff)
				}
				if log := src.trace(); !strings.Contains(log, tt.log) || (tt.log == "") != (log == "") {
					t.Errorf("log = %q", log)
				}
				if len(b.told()) != 0 {
					t.Error("the job was handed on")
				}
			})
		})
	}
}
