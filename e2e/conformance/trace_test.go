package conformance

import (
	"fmt"
	"strings"
	"testing"
	"time"

	sim "github.com/towline/towline/e2e/gitlabsim"
	"github.com/towline/towline/pkg/eventually"
	"github.com/towline/towline/pkg/ledger"
)

// jobCase is a case about one job on a site that it shares with others.
type jobCase struct {
	of   []int // cases of the sheet
	name string
	run  func(t *testing.T, s *site)
}

func runJobCases(t *testing.T, cases []jobCase) {
	t.Helper()
	s := newSite(t, sim.Options{MutatePayload: mutated}).start()
	t.Run("cases", func(t *testing.T) {
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				c.run(t, s)
				held(t, c.of)
			})
		}
	})
}

// mutated gives some jobs, by a variable, another payload.
func mutated(p map[string]any) {
	features, _ := p["features"].(map[string]any)
	for _, v := range variablesOf(p) {
		switch {
		case v["key"] == "TEST_REASONS":
			features["failure_reasons"] = strings.Fields(fmt.Sprint(v["value"]))
		case v["key"] == "TEST_NO_REASONS":
			features["failure_reasons"] = nil
		}
	}
}

func variablesOf(p map[string]any) []map[string]any {
	list, _ := p["variables"].([]map[string]any)
	return list
}

const quick = "1" // seconds between pieces, so that nobody waits for a minute

// hurried answers every PATCH of a job with a short interval.
func hurried(s *site, id int64) {
	s.gitlab.Inject(sim.Fault{Endpoint: sim.PatchTrace, Job: id, Times: -1, Apply: true, Header: map[string]string{"X-GitLab-Trace-Update-Interval": quick}})
}

// patches lists the ranges that GitLab took.
func patches(t *testing.T, s *site, id int64) []string {
	t.Helper()
	j, err := s.gitlab.Job(id)
	must(t, err)
	var out []string
	for _, e := range j.Timeline {
		if e.What == sim.EventPatch {
			out = append(out, e.Detail)
		}
	}
	return out
}

func wholeLog(t *testing.T, w *work, want string) {
	t.Helper()
	j := w.ends()
	got, err := w.gitlab.Trace(w.id)
	must(t, err)
	if string(got) != want {
		t.Errorf("GitLab has %d bytes, %q..., want %d", len(got), clip(string(got)), len(want))
	}
	if !j.Checksum.Equal {
		t.Errorf("checksum %+v", j.Checksum)
	}
}

func clip(s string) string { return s[:min(len(s), 80)] }

func TestTrace(t *testing.T) {
	t.Parallel()
	runJobCases(t, []jobCase{
		{of: []int{26}, name: "given 1420 bytes at offset 0 when they are sent then the range is 0-1419", run: func(t *testing.T, s *site) {
			w := s.run(t)
			text := strings.Repeat("x", 1419) + "\n"
			w.write(text)
			w.trace(text)
			w.finish(success)
			wholeLog(t, w, text)
			if got := patches(t, s, w.id); len(got) != 1 || got[0] != "0-1419" {
				t.Errorf("patches %v", got)
			}
		}},
		{of: []int{27}, name: "given an empty log when time passes then no PATCH is sent", run: func(t *testing.T, s *site) {
			w := s.run(t)
			eventually.Is(t, "some pulses", func() bool { return s.count(t, w.id, sim.EventPutRunning) >= 3 })
			w.finish(success)
			if j := w.ends(); j.Status != sim.Success || len(s.calls(sim.PatchTrace, w.id)) != 0 {
				t.Errorf("%s, %d PATCHes", j.Status, len(s.calls(sim.PatchTrace, w.id)))
			}
		}},
		{of: []int{33}, name: "given Job-Status canceled on a 202 when a piece is sent then the script is aborted", run: func(t *testing.T, s *site) {
			w := s.run(t)
			s.gitlab.Inject(sim.Fault{Endpoint: sim.PatchTrace, Job: w.id, Times: -1, Apply: true, Header: map[string]string{"Job-Status": "canceled"}})
			w.write("x\n")
			if word := w.told(); word != ledger.CancelAbort {
				t.Errorf("told %q", word)
			}
		}},
		{name: "given Job-Status failed on a 202 when a piece is sent then the script is aborted", run: func(t *testing.T, s *site) {
			w := s.run(t)
			s.gitlab.Inject(sim.Fault{Endpoint: sim.PatchTrace, Job: w.id, Times: -1, Apply: true, Header: map[string]string{"Job-Status": "failed"}})
			w.write("x\n")
			if word := w.told(); word != ledger.CancelAbort {
				t.Errorf("told %q", word)
			}
		}},
		{of: []int{34}, name: "given 403 when a piece is sent then the script is aborted and nothing more is sent", run: func(t *testing.T, s *site) {
			w := s.run(t)
			must(t, s.gitlab.EraseJob(w.id))
			w.write("x\n")
			if word := w.told(); word != ledger.CancelAbort {
				t.Errorf("told %q", word)
			}
			w.finish(failed(ledger.ReasonCanceled, 0))
			w.forgotten()
		}},
		{of: []int{35}, name: "given 404 when a piece is sent then the job goes on", run: func(t *testing.T, s *site) {
			w := s.run(t)
			s.gitlab.Inject(sim.Fault{Endpoint: sim.PatchTrace, Job: w.id, Status: 404})
			w.write("one\n")
			w.write("two\n")
			w.finish(success)
			wholeLog(t, w, "one\ntwo\n")
		}},
		{of: []int{37}, name: "given a connection that breaks before a piece is taken when it is sent then it is sent again", run: func(t *testing.T, s *site) {
			w := s.run(t)
			s.gitlab.Inject(sim.Fault{Endpoint: sim.PatchTrace, Job: w.id, DropBefore: true})
			w.write("one\n")
			w.trace("one\n") // while the job runs
			w.finish(success)
			wholeLog(t, w, "one\n")
		}},
		{name: "given a connection that breaks after a piece is taken when it is sent again then nothing is doubled", run: func(t *testing.T, s *site) {
			w := s.run(t)
			s.gitlab.Inject(sim.Fault{Endpoint: sim.PatchTrace, Job: w.id, DropAfter: true})
			w.write("one\n")
			w.trace("one\n")
			w.write("two\n")
			w.finish(success)
			wholeLog(t, w, "one\ntwo\n")
		}},
		{of: []int{39}, name: "given a watched job when there is more log then it comes after 3 s, not before", run: func(t *testing.T, s *site) {
			w := s.run(t)
			must(t, s.gitlab.WatchJob(w.id, true))
			w.write("one\n")
			w.trace("one\n")
			w.write("two\n")
			w.trace("two\n")
			w.finish(success)
			wholeLog(t, w, "one\ntwo\n")
			if p := s.calls(sim.PatchTrace, w.id); len(p) != 2 || p[1].At.Sub(p[0].At) < 3*time.Second {
				t.Errorf("pieces %v", p)
			}
		}},
		{name: "given an unwatched job when there is more log then it waits for the end of the job", run: func(t *testing.T, s *site) {
			w := s.run(t)
			w.write("one\n")
			w.trace("one\n")
			w.write("two\n")
			eventually.Is(t, "pulses go on", func() bool { return s.count(t, w.id, sim.EventPutRunning) >= 5 })
			if got := patches(t, s, w.id); len(got) != 1 {
				t.Errorf("patches %v", got)
			}
			w.finish(success)
			wholeLog(t, w, "one\ntwo\n")
		}},
		{of: []int{40}, name: "given a burst of more than 1 MiB when it is sent then pieces of at most 1 MiB follow in order", run: func(t *testing.T, s *site) {
			id := s.prepare(t)
			hurried(s, id)
			s.play(t, id)
			w := s.take(t, id)
			const piece = 512 << 10
			var whole strings.Builder
			for i := range 5 {
				text := strings.Repeat(string(rune('a'+i)), piece-1) + "\n"
				w.write(text)
				whole.WriteString(text)
			}
			w.finish(success)
			wholeLog(t, w, whole.String())
			next := 0
			for _, p := range patches(t, s, id) {
				var from, to int
				if _, err := fmt.Sscanf(p, "%d-%d", &from, &to); err != nil || from != next || to-from+1 > 1<<20 {
					t.Errorf("range %s after %d", p, next)
				}
				next = to + 1
			}
		}},
		{of: []int{41}, name: "given a silent script when time passes then PUT running keeps the job alive", run: func(t *testing.T, s *site) {
			w := s.run(t)
			eventually.Is(t, "six pulses", func() bool { return len(s.calls(sim.PutJob, w.id)) > 6 })
			if p := s.calls(sim.PutJob, w.id); p[6].At.Sub(p[1].At) < 3*time.Second {
				t.Errorf("six pulses within %s are more than the budget of 200 a minute bears beside artifacts", p[6].At.Sub(p[1].At))
			}
			w.finish(success)
			w.ends()
		}},
		{of: []int{42}, name: "given CI_DEBUG_TRACE when the first piece is sent then it says debug_trace=true", run: func(t *testing.T, s *site) {
			w := s.run(t, "variables: {CI_DEBUG_TRACE: \"true\"}")
			w.write("x\n")
			w.finish(success)
			if j := w.ends(); !j.Debug || !strings.HasSuffix(s.calls(sim.PatchTrace, w.id)[0].Path, "?debug_trace=true") {
				t.Errorf("debug %t, %v", j.Debug, s.calls(sim.PatchTrace, w.id))
			}
		}},
		{name: "given CI_DEBUG_SERVICES when the first piece is sent then it says debug_trace=true", run: func(t *testing.T, s *site) {
			w := s.run(t, "variables: {CI_DEBUG_SERVICES: \"1\"}")
			w.write("x\n")
			w.finish(success)
			if j := w.ends(); !j.Debug {
				t.Errorf("debug %t", j.Debug)
			}
		}},
		{name: "given no debug variable when the first piece is sent then it says debug_trace=false", run: func(t *testing.T, s *site) {
			w := s.run(t)
			w.write("x\n")
			w.finish(success)
			if j := w.ends(); j.Debug || !strings.HasSuffix(s.calls(sim.PatchTrace, w.id)[0].Path, "?debug_trace=false") {
				t.Errorf("debug %t, %v", j.Debug, s.calls(sim.PatchTrace, w.id))
			}
		}},
		{of: []int{30}, name: "given a 416 when GitLab names a smaller size then the log goes on from there", run: func(t *testing.T, s *site) {
			id := s.prepare(t)
			hurried(s, id)
			s.play(t, id)
			w := s.take(t, id)
			w.write("one\n")
			w.trace("one\n")
			must(t, s.gitlab.LoseTrace(id)) // GitLab's Redis has lost it
			w.write("two\n")
			w.finish(success)
			wholeLog(t, w, "one\ntwo\n")
		}},
		{of: []int{29}, name: "given an answer that was lost when more of the log goes out from the same place then a 416 says where it goes on", run: func(t *testing.T, s *site) {
			w := s.run(t)
			s.gitlab.Inject(sim.Fault{Endpoint: sim.PatchTrace, Job: w.id, DropAfter: true})
			w.write("one\n")
			w.trace("one\n") // and the tunnel does not know
			w.write("two\n")
			w.trace("two\n")
			w.finish(success)
			wholeLog(t, w, "one\ntwo\n")
			if n := s.count(t, w.id, sim.EventRewind); n != 1 {
				t.Errorf("%d rewinds", n)
			}
		}},
		{name: "given 413 of a proxy when a piece is sent then smaller ones follow until the log is there", run: func(t *testing.T, s *site) {
			w := s.run(t)
			s.gitlab.Inject(sim.Fault{Endpoint: sim.PatchTrace, Job: w.id, Status: 413, Times: 2, Body: "<html>too large</html>", Header: map[string]string{"Content-Type": "text/html"}})
			text := strings.Repeat("0123456789abcde\n", 256)
			w.write(text)
			w.finish(success)
			wholeLog(t, w, text)
			if got, want := fmt.Sprint(patches(t, s, w.id)), "[0-1023 1024-2047 2048-3071 3072-4095]"; got != want {
				t.Errorf("patches %s, want %s", got, want)
			}
		}},
		{name: "given a PATCH that nobody answers when the job is cancelled meanwhile then the script stops and the log is there", run: func(t *testing.T, s *site) {
			w := s.run(t)
			s.gitlab.Inject(sim.Fault{Endpoint: sim.PatchTrace, Job: w.id, Delay: time.Hour})
			w.write("one\n")
			eventually.Is(t, "the piece is under way", func() bool { return s.gitlab.Hit(w.id, sim.PatchTrace) })
			began := time.Now()
			must(t, s.gitlab.CancelJob(w.id))
			if word, took := w.told(), time.Since(began); word != ledger.CancelGraceful || took > 5*time.Second {
				t.Errorf("told %q after %s", word, took)
			}
			w.finish(failed(ledger.ReasonCanceled, 0))
			wholeLog(t, w, "one\n")
		}},
		{name: "given an unreadable interval when a piece is sent then it is ignored", run: func(t *testing.T, s *site) {
			w := s.run(t)
			s.gitlab.Inject(sim.Fault{Endpoint: sim.PatchTrace, Job: w.id, Times: -1, Apply: true, Header: map[string]string{"X-GitLab-Trace-Update-Interval": "1/2"}})
			w.write("one\n")
			w.trace("one\n")
			w.write("two\n")
			w.trace("two\n") // after the first interval of 3 s
			w.finish(success)
			wholeLog(t, w, "one\ntwo\n")
		}},
		{name: "given 429 when a piece is sent then it waits as long as GitLab asks", run: func(t *testing.T, s *site) {
			w := s.run(t)
			s.gitlab.Inject(sim.Fault{Endpoint: sim.PatchTrace, Job: w.id, Status: 429, Header: map[string]string{"Retry-After": "2"}})
			began := time.Now()
			w.write("one\n")
			w.trace("one\n")
			if took := time.Since(began); took < 2*time.Second {
				t.Errorf("sent again after %s", took)
			}
			w.finish(success)
			wholeLog(t, w, "one\n")
		}},
		{name: "given 409 of a write lock when a piece is sent then the same bytes are sent again", run: func(t *testing.T, s *site) {
			w := s.run(t)
			s.gitlab.Inject(sim.Fault{Endpoint: sim.PatchTrace, Job: w.id, Status: 409})
			w.write("one\n")
			w.trace("one\n") // while the job runs
			w.finish(success)
			wholeLog(t, w, "one\n")
		}},
		{name: "given a log of several streams when it ends then the checksum covers every byte", run: func(t *testing.T, s *site) {
			w := s.run(t)
			w.write("a\x00b\xffc\r\n")
			w.finish(success)
			wholeLog(t, w, "a\x00b\xffc\r\n")
		}},
	})
}
