package conformance

import (
	"strings"
	"testing"
	"time"

	sim "github.com/towline/towline/e2e/gitlabsim"
	"github.com/towline/towline/pkg/eventually"
	"github.com/towline/towline/pkg/ledger"
)

// reported wants a job as GitLab has it.
func reported(t *testing.T, j sim.Job, status sim.Status, reason string, exit int) {
	t.Helper()
	got := 0
	if j.ExitCode != nil {
		got = *j.ExitCode
	}
	if j.Status != status || j.FailureReason != reason || got != exit {
		t.Errorf("job is %s (%s, %d), want %s (%s, %d)", j.Status, j.FailureReason, got, status, reason, exit)
	}
}

// final aims a fault at the final state of a job.
func final(s *site, id int64, f sim.Fault) {
	f.Endpoint, f.Job, f.Final = sim.PutJob, id, true
	s.gitlab.Inject(f)
}

func TestFinalState(t *testing.T) {
	t.Parallel()
	runJobCases(t, []jobCase{
		{of: []int{49}, name: "given a job that succeeds when it ends then the whole log precedes PUT success with checksum and size", run: func(t *testing.T, s *site) {
			w := s.run(t)
			w.write("one\n")
			w.write("two\n")
			w.finish(success)
			j := w.ends()
			reported(t, j, sim.Success, "", 0)
			if !j.Checksum.Equal || j.Checksum.AnnouncedSize != 8 || !strings.HasPrefix(j.Checksum.Announced, "crc32:") {
				t.Errorf("checksum %+v", j.Checksum)
			}
			for _, e := range j.Timeline {
				if e.What == sim.EventPatch && e.At.After(j.At(sim.EventFinalPut)) {
					t.Error("log after the final state")
				}
			}
		}},
		{of: []int{51}, name: "given a 412 when the job ends then the whole log is sent again and the state too", run: func(t *testing.T, s *site) {
			w := s.run(t)
			w.write("one\n")
			w.trace("one\n")
			final(s, w.id, sim.Fault{Status: 412})
			w.finish(success)
			reported(t, w.ends(), sim.Success, "", 0)
			from := 0
			for _, c := range s.calls(sim.PatchTrace, w.id) {
				if c.Status == 416 || c.Status == 202 {
					from++
				}
			}
			if from < 2 {
				t.Errorf("%d PATCHes", from)
			}
		}},
		{of: []int{52}, name: "given 500 three times when the job ends then the state is sent until GitLab takes it", run: func(t *testing.T, s *site) {
			w := s.run(t)
			final(s, w.id, sim.Fault{Status: 500, Times: 3})
			began := time.Now()
			w.finish(failed(ledger.ReasonScript, 3))
			reported(t, w.ends(), sim.Failed, "script_failure", 3)
			if took := time.Since(began); took < 2*time.Second {
				t.Errorf("three failures took %s: no back-off", took)
			}
		}},
		{name: "given a connection that breaks after the state is taken when it is sent again then the 403 ends it", run: func(t *testing.T, s *site) {
			w := s.run(t)
			final(s, w.id, sim.Fault{DropAfter: true})
			w.finish(success)
			reported(t, w.ends(), sim.Success, "", 0)
			w.forgotten()
		}},
		{of: []int{53, 59}, name: "given 403 when the job ends then nothing is sent again", run: func(t *testing.T, s *site) {
			w := s.run(t)
			must(t, s.gitlab.EraseJob(w.id))
			w.finish(success)
			w.forgotten()
			n := len(s.calls(sim.PutJob, w.id))
			eventually.Is(t, "another job ends", func() bool {
				other := s.run(t)
				other.finish(success)
				other.ends()
				return true
			})
			if got := len(s.calls(sim.PutJob, w.id)); got != n {
				t.Errorf("%d more PUTs", got-n)
			}
		}},
		{name: "given 404 when the job ends then nothing is sent again", run: func(t *testing.T, s *site) {
			w := s.run(t)
			final(s, w.id, sim.Fault{Status: 404, Times: -1})
			w.finish(success)
			w.forgotten()
		}},
		{of: []int{55}, name: "given exit code 42 when the job ends then it fails as script_failure with 42", run: func(t *testing.T, s *site) {
			w := s.run(t)
			w.finish(failed(ledger.ReasonScript, 42))
			reported(t, w.ends(), sim.Failed, "script_failure", 42)
		}},
		{name: "given success when the job ends then there is no exit code", run: func(t *testing.T, s *site) {
			w := s.run(t)
			w.finish(success)
			if j := w.ends(); j.ExitCode != nil {
				t.Errorf("exit code %d", *j.ExitCode)
			}
		}},
		{of: []int{56}, name: "given a GitLab that does not know runner_external_dependency_failure then it is told runner_system_failure", run: func(t *testing.T, s *site) {
			w := s.run(t, "variables: {TEST_REASONS: script_failure}")
			w.finish(failed(ledger.ReasonDependency, 0))
			reported(t, w.ends(), sim.Failed, "runner_system_failure", 0)
		}},
		{name: "given a GitLab that does not know runner_configuration_error then it is told script_failure", run: func(t *testing.T, s *site) {
			w := s.run(t, "variables: {TEST_NO_REASONS: \"1\"}")
			w.finish(failed(ledger.ReasonConfiguration, 0))
			reported(t, w.ends(), sim.Failed, "script_failure", 0)
		}},
		{name: "given a GitLab that does not know runner_interrupted then it is told unknown_failure", run: func(t *testing.T, s *site) {
			w := s.run(t, "variables: {TEST_REASONS: script_failure}")
			w.finish(failed(ledger.ReasonInterrupted, 0))
			reported(t, w.ends(), sim.Failed, "unknown_failure", 0)
		}},
		{name: "given a GitLab that knows runner_interrupted then it is told so", run: func(t *testing.T, s *site) {
			w := s.run(t)
			w.finish(failed(ledger.ReasonInterrupted, 0))
			reported(t, w.ends(), sim.Failed, "runner_interrupted", 0)
		}},
		{name: "given a GitLab that knows runner_external_dependency_failure then it is told so", run: func(t *testing.T, s *site) {
			w := s.run(t)
			w.finish(failed(ledger.ReasonDependency, 0))
			reported(t, w.ends(), sim.Failed, "runner_external_dependency_failure", 0)
		}},
		{name: "given a job that GitLab did not cancel when it ends as job_canceled then it is told unknown_failure", run: func(t *testing.T, s *site) {
			w := s.run(t)
			w.finish(failed(ledger.ReasonCanceled, 0))
			reported(t, w.ends(), sim.Failed, "unknown_failure", 0)
		}},
		{name: "given a GitLab without a list of reasons when a job exceeds its time then it is told job_execution_timeout", run: func(t *testing.T, s *site) {
			w := s.run(t, "variables: {TEST_NO_REASONS: \"1\"}")
			w.finish(failed(ledger.ReasonTimeout, 0))
			reported(t, w.ends(), sim.Failed, "job_execution_timeout", 0)
		}},
		{name: "given retry on script_failure when a script fails then GitLab runs a new job with a new token", run: func(t *testing.T, s *site) {
			w := s.run(t, "retry: {max: 1, when: script_failure}")
			w.finish(failed(ledger.ReasonScript, 1))
			first := w.ends()
			next := s.take(t, successor(t, s, w.id))
			next.finish(success)
			second := next.ends()
			if !first.Retried && second.Status != sim.Success || second.Token == first.Token {
				t.Errorf("first %+v, second %s", first.Retried, second.Status)
			}
		}},
		{name: "given allow_failure exit_codes when a script ends with one of them then the code arrives", run: func(t *testing.T, s *site) {
			w := s.run(t, "allow_failure: {exit_codes: [3]}")
			w.finish(failed(ledger.ReasonScript, 3))
			j := w.ends()
			reported(t, j, sim.Failed, "script_failure", 3)
			if !j.AllowFailure {
				t.Error("it is no allowed failure")
			}
		}},
		{name: "given Job-Status canceled on PUT running when it is read then the script is aborted", run: func(t *testing.T, s *site) {
			w := s.run(t)
			s.gitlab.Inject(sim.Fault{Endpoint: sim.PutJob, Job: w.id, Times: -1, Apply: true, Header: map[string]string{"Job-Status": "canceled"}})
			if word := w.told(); word != ledger.CancelAbort {
				t.Errorf("told %q", word)
			}
		}},
		{of: []int{60, 48}, name: "given a job that is cancelled when its runner supports it then the script stops within 2 s and GitLab has it canceled", run: func(t *testing.T, s *site) {
			cancelledSoon(t, s, false)
		}},
		{name: "given a watched job that is cancelled then the script stops as fast", run: func(t *testing.T, s *site) {
			cancelledSoon(t, s, true)
		}},
		{of: []int{68}, name: "given a job that GitLab is cancelling when it ends with success then GitLab has it canceled", run: func(t *testing.T, s *site) {
			w := s.run(t)
			must(t, s.gitlab.CancelJob(w.id))
			w.finish(success)
			reported(t, w.ends(), sim.Canceled, "", 0)
		}},
		{name: "given a job token that expires when the next call is made then the script is aborted", run: func(t *testing.T, s *site) {
			w := s.run(t)
			must(t, s.gitlab.ExpireJobToken(w.id))
			if word := w.told(); word != ledger.CancelAbort {
				t.Errorf("told %q", word)
			}
			reported(t, w.ends(), sim.Failed, "job_token_expired", 0)
		}},
		{of: []int{21}, name: "given 403 on the early PUT when a job was handed out then nothing is run, logged or reported", run: func(t *testing.T, s *site) {
			id := s.prepare(t)
			s.gitlab.Inject(sim.Fault{Endpoint: sim.PutJob, Job: id, Times: -1, Status: 403})
			s.play(t, id)
			w := &work{site: s, t: t, id: id}
			eventually.Is(t, "the early PUT", func() bool { return len(s.calls(sim.PutJob, id)) == 1 })
			w.forgotten()
			if p, q := s.calls(sim.PutJob, id), s.calls(sim.PatchTrace, id); len(p) != 1 || len(q) != 0 {
				t.Errorf("%d PUTs, %d PATCHes", len(p), len(q))
			}
		}},
		{name: "given 404 on the early PUT when a job was handed out then it is dropped", run: func(t *testing.T, s *site) {
			id := s.prepare(t)
			s.gitlab.Inject(sim.Fault{Endpoint: sim.PutJob, Job: id, Times: -1, Status: 404})
			s.play(t, id)
			w := &work{site: s, t: t, id: id}
			eventually.Is(t, "the early PUT", func() bool { return len(s.calls(sim.PutJob, id)) == 1 })
			w.forgotten()
		}},
		{of: []int{22}, name: "given a job that is cancelled before the early PUT then one final failed is sent and nothing started", run: func(t *testing.T, s *site) {
			id := s.prepare(t)
			s.gitlab.Inject(sim.Fault{Endpoint: sim.PutJob, Job: id, Delay: 3 * time.Second})
			s.play(t, id)
			s.waitJob(t, id, sim.Running)
			must(t, s.gitlab.CancelJob(id))
			j := s.waitJob(t, id)
			select {
			case <-s.arrival(id):
				t.Error("the job is given to a runner")
			default:
			}
			if n := s.count(t, id, sim.EventFinalPut); j.Status != sim.Canceled || n != 1 {
				t.Errorf("job is %s after %d final PUTs", j.Status, n)
			}
		}},
		{name: "given 500 on the early PUT when a job was handed out then it runs all the same", run: func(t *testing.T, s *site) {
			id := s.prepare(t)
			s.gitlab.Inject(sim.Fault{Endpoint: sim.PutJob, Job: id, Status: 500})
			s.play(t, id)
			w := s.take(t, id)
			w.finish(success)
			reported(t, w.ends(), sim.Success, "", 0)
		}},
		{name: "given a job that is handed out when it is admitted then PUT running comes before anything else", run: func(t *testing.T, s *site) {
			w := s.run(t)
			w.finish(success)
			j := w.ends()
			puts, pieces := s.calls(sim.PutJob, w.id), s.calls(sim.PatchTrace, w.id)
			if j.At(sim.EventFirstPut).IsZero() || len(puts) == 0 || len(pieces) > 0 && pieces[0].At.Before(puts[0].At) {
				t.Errorf("PUTs %v, pieces %v", puts, pieces)
			}
		}},
		{name: "given a runner that goes away while the script runs then the log says so and the job fails as runner_system_failure", run: func(t *testing.T, s *site) {
			w := s.run(t)
			w.write("2026-11-22T16:11:50.558364Z 01O working\n")
			w.cancel() // the lease is not renewed any more, and ends
			_, err := s.ledger.Renew(t.Context(), w.id, holder, 100*time.Millisecond)
			must(t, err)
			j := w.waitJob(t, w.id)
			reported(t, j, sim.Failed, "runner_system_failure", 0)
		}},
	})
}

// successor is the job with which GitLab tries a failed one again.
func successor(t *testing.T, s *site, id int64) int64 {
	t.Helper()
	j, err := s.gitlab.Job(id)
	must(t, err)
	var next int64
	eventually.Is(t, "a new job", func() bool {
		p, err := s.gitlab.Pipeline(j.Pipeline)
		must(t, err)
		for _, other := range p.Jobs {
			if other.ID > id {
				next = other.ID
			}
		}
		return next != 0
	})
	return next
}

// cancelledSoon cancels jobs until one has learnt of it soon enough: a machine
// that is busy or stands still may hold up one, and not each of three.
func cancelledSoon(t *testing.T, s *site, watched bool) {
	t.Helper()
	var times []time.Duration
	for range 3 {
		w := s.run(t)
		must(t, s.gitlab.WatchJob(w.id, watched))
		began := time.Now()
		must(t, s.gitlab.CancelJob(w.id))
		word := w.told()
		times = append(times, time.Since(began))
		w.finish(failed(ledger.ReasonCanceled, 0))
		if j := w.ends(); word != ledger.CancelGraceful || j.Status != sim.Canceled {
			t.Errorf("told %q, and the job is %s", word, j.Status)
		}
		if times[len(times)-1] <= 1500*time.Millisecond {
			return
		}
	}
	t.Errorf("told after %s", times)
}
