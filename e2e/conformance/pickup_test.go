package conformance

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	sim "github.com/towline/towline/e2e/gitlabsim"
	"github.com/towline/towline/e2e/rig"
	"github.com/towline/towline/pkg/eventually"
	"github.com/towline/towline/pkg/ledger"
)

// pickCase is a case about how jobs are asked for, on a site of its own.
type pickCase struct {
	of   []int // cases of the sheet
	name string
	opts sim.Options
	args []string
	run  func(t *testing.T, s *site)
}

func runPickCases(t *testing.T, cases []pickCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, newSite(t, c.opts, c.args...))
			held(t, c.of)
		})
	}
}

// polls waits for a number of requests for a job that have been answered.
func (s *site) polls(t *testing.T, n int) []sim.Call {
	t.Helper()
	var out []sim.Call
	eventually.Is(t, "polls", func() bool { out = s.calls(sim.JobsRequest, 0); return len(out) >= n })
	return out
}

// job runs a job to its end.
func (s *site) job(t *testing.T) {
	t.Helper()
	w := s.run(t)
	w.finish(success)
	reported(t, w.ends(), sim.Success, "", 0)
}

func faulty(f sim.Fault) func(t *testing.T, s *site) {
	return func(t *testing.T, s *site) {
		f.Endpoint = sim.JobsRequest
		s.gitlab.Inject(f)
		s.start()
		s.job(t)
	}
}

func TestPickUp(t *testing.T) {
	t.Parallel()
	runPickCases(t, []pickCase{
		{of: []int{1}, name: "given no job when a poll is answered 204 then its last_update is sent with the next", run: func(t *testing.T, s *site) {
			s.start()
			// GitLab holds a request only if it carries the value of the last answer.
			if p := s.polls(t, 2); p[0].Took > p[1].Took || p[1].Took < longPoll {
				t.Errorf("the first poll took %s, the second %s", p[0].Took, p[1].Took)
			}
		}},
		{of: []int{3}, name: "given a held poll that ends without the header when the next is made then the value is kept", run: func(t *testing.T, s *site) {
			s.start()
			if p := s.polls(t, 3); p[2].Took < longPoll {
				t.Errorf("the third poll took %s", p[2].Took)
			}
		}},
		{of: []int{2}, name: "given a job when it is handed out then the stored value counts on", run: func(t *testing.T, s *site) {
			s.start()
			s.job(t)
			s.job(t)
		}},
		{of: []int{4}, name: "given 409 when a job is asked for then the next poll follows after the interval and gets it", args: []string{"--poll-interval=700ms"}, run: func(t *testing.T, s *site) {
			s.gitlab.Inject(sim.Fault{Endpoint: sim.JobsRequest, Status: 409, Times: 2})
			s.start()
			p := s.polls(t, 3)
			if pause := p[1].At.Sub(p[0].At); pause < 700*time.Millisecond {
				t.Errorf("asked again after %s", pause)
			}
			s.job(t)
		}},
		{of: []int{6}, name: "given 503 with Retry-After when a job is asked for then it is asked again as late as that and runs", run: func(t *testing.T, s *site) {
			s.gitlab.Inject(sim.Fault{Endpoint: sim.JobsRequest, Status: 503, Times: 2, Header: map[string]string{"Retry-After": "2"}})
			s.start()
			p := s.polls(t, 3)
			for i := 1; i < 3; i++ {
				if pause := p[i].At.Sub(p[i-1].At); pause < 2*time.Second {
					t.Errorf("asked again after %s", pause)
				}
			}
			s.job(t)
		}},
		{name: "given 429 with Retry-After when a job is asked for then it is left alone as long", run: func(t *testing.T, s *site) {
			s.gitlab.Inject(sim.Fault{Endpoint: sim.JobsRequest, Status: 429, Header: map[string]string{"Retry-After": "2"}})
			s.start()
			if p := s.polls(t, 2); p[1].At.Sub(p[0].At) < 2*time.Second {
				t.Errorf("asked again after %s", p[1].At.Sub(p[0].At))
			}
		}},
		{of: []int{9}, name: "given 515 when a job is asked for then it is asked again", run: faulty(sim.Fault{Status: 515})},
		{name: "given 501 when a job is asked for then the tunnel lives on", run: faulty(sim.Fault{Status: 501})},
		{name: "given 422 of an orphaned runner when a job is asked for then the tunnel lives on", run: faulty(sim.Fault{Status: 422})},
		{name: "given a connection that breaks when a job is asked for then it is asked again", run: faulty(sim.Fault{DropBefore: true})},
		{of: []int{12}, name: "given a 201 of text/html when a job is asked for then nothing is run and the next poll goes on", run: faulty(sim.Fault{Status: 201, Header: map[string]string{"Content-Type": "text/html"}, Body: "<html>down</html>"})},
		{name: "given a job as text/html when it is asked for then it fails with a line that says so", run: func(t *testing.T, s *site) {
			id := s.prepare(t)
			s.start()
			s.gitlab.Inject(sim.Fault{Endpoint: sim.JobsRequest, Times: -1, Apply: true, Header: map[string]string{"Content-Type": "text/html"}})
			s.play(t, id)
			j := s.waitJob(t, id)
			trace, err := s.gitlab.Trace(id)
			must(t, err)
			if j.Status != sim.Failed || j.FailureReason != "runner_system_failure" || !strings.Contains(string(trace), "GitLab answered 201 without JSON; is a proxy in between?") {
				t.Errorf("%s, %s: %s", j.Status, j.FailureReason, trace)
			}
		}},
		{of: []int{14}, name: "given a job that needs what this runner does not have when it is asked for then GitLab drops it and the next one runs", run: func(t *testing.T, s *site) {
			s.start()
			id := s.prepare(t, "cache: {key: k, fallback_keys: [other], paths: [x]}")
			s.play(t, id)
			reported(t, s.waitJob(t, id), sim.Failed, "runner_unsupported", 0)
			s.job(t)
		}},
		{of: []int{17}, name: "given a job that GitLab cannot hand out when it is asked for then the poll goes on and the next attempt runs", run: func(t *testing.T, s *site) {
			id := s.prepare(t)
			s.play(t, id)
			s.gitlab.Inject(sim.Fault{Endpoint: sim.JobsRequest, BuildError: true})
			s.start()
			reported(t, s.waitJob(t, id), sim.Failed, "scheduler_failure", 0)
			w := s.take(t, successor(t, s, id)) // GitLab tries again by itself
			w.finish(success)
			reported(t, w.ends(), sim.Success, "", 0)
		}},
		{of: []int{46}, name: "given a log over the limit of GitLab's plan when it is sent then GitLab fails the job and the script is aborted", opts: sim.Options{TraceSizeLimit: 1000}, run: func(t *testing.T, s *site) {
			s.start()
			w := s.run(t)
			w.write(strings.Repeat("x", 1000) + "\n")
			if word := w.told(); word != ledger.CancelAbort {
				t.Errorf("told %q", word)
			}
			reported(t, w.ends(), sim.Failed, "trace_size_exceeded", 0)
			w.finish(failed(ledger.ReasonCanceled, 0))
			w.forgotten()
		}},
		{name: "given a 201 that is no JSON when a job is asked for then nothing is run and the next poll goes on", run: faulty(sim.Fault{Status: 201, Body: "<html>"})},
		{name: "given a 201 with a charset when a job is asked for then it runs", run: faulty(sim.Fault{Apply: true, Header: map[string]string{"Content-Type": "application/json; charset=utf-8"}})},
		{name: "given an error without JSON when a job is asked for then it is asked again", run: faulty(sim.Fault{Status: 500, Body: "<html>down</html>", Header: map[string]string{"Content-Type": "text/html"}})},
		{of: []int{10}, name: "given a 307 of the same GitLab when a job is asked for then the request is sent there with its body", run: func(t *testing.T, s *site) {
			s.gitlab.Inject(sim.Fault{Endpoint: sim.JobsRequest, Status: 307, Times: 3, Header: map[string]string{"Location": s.gitlab.URL() + "/api/v4/jobs/request"}})
			s.start()
			s.job(t)
		}},
		{name: "given a 308 on a state when it is reported then it is sent there with its body", run: func(t *testing.T, s *site) {
			s.start()
			w := s.run(t)
			final(s, w.id, sim.Fault{Status: 308, Header: map[string]string{"Location": s.gitlab.URL() + s.calls(sim.PutJob, w.id)[0].Path}})
			w.finish(success)
			reported(t, w.ends(), sim.Success, "", 0)
		}},
		{name: "given a 307 to another host when a job is asked for then no token is sent there", run: func(t *testing.T, s *site) {
			s.gitlab.Inject(sim.Fault{Endpoint: sim.JobsRequest, Status: 307, Times: -1, Header: map[string]string{"Location": "http://127.0.0.2:1/api/v4/jobs/request"}})
			s.start()
			s.line(t, "it redirects to another address")
		}},
		{of: []int{19}, name: "given a removed runner when the tunnel starts then it takes no job and says what to do", run: func(t *testing.T, s *site) {
			must(t, s.gitlab.DeleteRunner(s.runner.ID))
			s.start()
			s.line(t, "refuses the runner token")
			if ready, _ := s.tunnel.Ready(t.Context()); ready || len(s.calls(sim.JobsRequest, 0)) != 0 {
				t.Errorf("ready %t, %d polls", ready, len(s.calls(sim.JobsRequest, 0)))
			}
		}},
		{of: []int{15}, name: "given a paused runner when it is resumed then it takes the job that waits", run: func(t *testing.T, s *site) {
			must(t, s.gitlab.PauseRunner(s.runner.ID, true))
			s.start()
			id := s.prepare(t)
			s.play(t, id)
			s.polls(t, 2)
			must(t, s.gitlab.PauseRunner(s.runner.ID, false))
			w := s.take(t, id)
			w.finish(success)
			reported(t, w.ends(), sim.Success, "", 0)
		}},
		{name: "given a payload in which every optional key is null when it is handed out then it runs", run: faultyJob(nulls())},
		{name: "given a payload with keys of a newer GitLab when it is handed out then they are ignored", run: faultyJob(map[string]json.RawMessage{
			"brand_new": json.RawMessage(`{"a":[1]}`), "suspend_options": json.RawMessage(`"x"`),
		})},
		{name: "given a payload of another shape when it is handed out then the job fails with a line that says so", run: func(t *testing.T, s *site) {
			id := s.prepare(t)
			s.start()
			s.gitlab.Inject(sim.Fault{Endpoint: sim.JobsRequest, From: 1, Times: -1, Apply: true, SetPayload: map[string]json.RawMessage{"steps": json.RawMessage(`"x"`)}})
			s.play(t, id)
			j := s.waitJob(t, id)
			trace, err := s.gitlab.Trace(id)
			must(t, err)
			if j.Status != sim.Failed || !strings.Contains(string(trace), "GitLab sent a job that Towline cannot use: job payload: field steps") {
				t.Errorf("%s: %s", j.Status, trace)
			}
		}},
		{of: []int{18}, name: "given two tunnels of one runner when they wait for jobs then they share one poll", run: func(t *testing.T, s *site) {
			s.start()
			s.another()
			s.polls(t, 3)
			s.job(t) // overlapping polls are an anomaly of the simulator
			if r, err := s.gitlab.Runner(s.runner.ID); err != nil || len(r.Managers) != 1 {
				t.Errorf("%d runner managers, %v", len(r.Managers), err)
			}
		}},
		{name: "given a job token of 2 KiB when the job runs then every call works", opts: sim.Options{JWTJobTokens: true}, run: func(t *testing.T, s *site) { s.start(); s.job(t) }},
		{name: "given a GitLab without long polling when jobs are asked for then the interval is kept", opts: sim.Options{LongPoll: -1}, args: []string{"--poll-interval=500ms"}, run: func(t *testing.T, s *site) {
			s.start()
			p := s.polls(t, 5) // after the first answer, which brings a value, the next follows at once
			if took := p[4].At.Sub(p[1].At); took < 1500*time.Millisecond {
				t.Errorf("three pauses took %s", took)
			}
			s.job(t)
		}},
		{name: "given a final state that GitLab still stores when it answers 202 then the same state is sent until 200", opts: sim.Options{PersistAnswers: 2}, run: func(t *testing.T, s *site) {
			s.start()
			w := s.run(t)
			w.write("x\n")
			w.finish(success)
			reported(t, w.ends(), sim.Success, "", 0)
			if n := s.count(t, w.id, sim.EventFinalPut); n != 3 {
				t.Errorf("%d final PUTs", n)
			}
		}},
		{name: "given a runner that has no slot when jobs wait then none is taken", run: func(t *testing.T, s *site) {
			tunnel := s.another() // without start nobody offers a slot
			if err := tunnel.WaitReady(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.play(t, s.prepare(t))
			tick := time.After(time.Second)
			<-tick
			if n := len(s.calls(sim.JobsRequest, 0)); n != 0 {
				t.Errorf("%d polls", n)
			}
		}},
		{name: "given a tunnel that is told to stop while a poll is held then it is back soon and no job is lost", run: func(t *testing.T, s *site) {
			s.start()
			s.polls(t, 2)
			must(t, s.tunnel.Stop())
			id := s.prepare(t)
			s.play(t, id)
			s.tunnel = s.another()
			w := s.take(t, id)
			w.finish(success)
			reported(t, w.ends(), sim.Success, "", 0)
		}},
		{name: "given the first call of a runner when GitLab stores its info then features are there at once", run: func(t *testing.T, s *site) {
			s.start()
			s.polls(t, 1)
			r, err := s.gitlab.Runner(s.runner.ID)
			must(t, err)
			if len(r.Managers) != 1 || !r.Managers[0].Features["cancel_gracefully"] || r.Managers[0].Features["vault_secrets"] || r.Managers[0].Features["services"] {
				t.Errorf("managers %+v", r.Managers)
			}
		}},
	})
}

// faultyJob runs a job whose payload is changed.
func faultyJob(set map[string]json.RawMessage) func(t *testing.T, s *site) {
	return func(t *testing.T, s *site) {
		s.gitlab.Inject(sim.Fault{Endpoint: sim.JobsRequest, Times: -1, Apply: true, SetPayload: set})
		s.start()
		s.job(t)
	}
}

func nulls() map[string]json.RawMessage {
	out := map[string]json.RawMessage{}
	for _, key := range []string{
		"variables", "steps", "hooks", "image", "services", "artifacts", "cache", "credentials", "dependencies", "features",
		"secrets", "run", "policy_options", "suspend_options", "inputs", "runner_info",
	} {
		out[key] = json.RawMessage("null")
	}
	return out
}

// line waits for a text in the tunnel's log.
func (s *site) line(t *testing.T, text string) {
	t.Helper()
	_, err := s.tunnel.WaitLine(t.Context(), func(l rig.Line) bool { return strings.Contains(l.Text("error"), text) })
	must(t, err)
}

func TestRouter(t *testing.T) {
	t.Parallel()
	on := []string{"--job-router"}
	routed := func(t *testing.T, s *site, want bool) {
		t.Helper()
		if rest, router := len(s.calls(sim.JobsRequest, 0)), len(s.calls(sim.JobRouter, 0)); (router > 0) != want || (rest > 0) == want {
			t.Errorf("%d requests to the API, %d to the router", rest, router)
		}
	}
	runPickCases(t, []pickCase{
		{of: []int{103}, name: "given --job-router is not set when jobs are asked for then the API is used", opts: sim.Options{JobRouter: true}, run: func(t *testing.T, s *site) {
			s.start()
			s.job(t)
			routed(t, s, false)
		}},
		{name: "given a GitLab that answers 501 to discovery when jobs are asked for then the API is used and discovery is not repeated", args: on, run: func(t *testing.T, s *site) {
			s.start()
			s.job(t)
			s.job(t)
			routed(t, s, false)
			if n := len(s.calls(sim.RunnersOther, 0)); n != 1 {
				t.Errorf("%d discoveries", n)
			}
		}},
		{name: "given a job router when jobs are asked for then they come by it and everything else goes to the API", args: on, opts: sim.Options{JobRouter: true}, run: func(t *testing.T, s *site) {
			s.start()
			w := s.run(t)
			w.write("x\n")
			w.finish(success)
			wholeLog(t, w, "x\n")
			routed(t, s, true)
		}},
		{of: []int{105}, name: "given x-gitlab-last-update of an answer when the next call is made then it is sent back", args: on, opts: sim.Options{JobRouter: true}, run: func(t *testing.T, s *site) {
			s.start()
			var c []sim.Call
			eventually.Is(t, "two calls", func() bool { c = s.calls(sim.JobRouter, 0); return len(c) >= 2 })
			if c[1].Took < longPoll {
				t.Errorf("the second call was held for %s", c[1].Took)
			}
		}},
		{of: []int{104}, name: "given a router that answers Unimplemented when a job is asked for then the API is asked at once and discovery again", args: on, opts: sim.Options{JobRouter: true}, run: func(t *testing.T, s *site) {
			const unimplemented = 12
			s.gitlab.Inject(sim.Fault{Endpoint: sim.JobRouter, Code: unimplemented})
			s.start()
			s.job(t)
			if n := len(s.calls(sim.RunnersOther, 0)); n < 2 {
				t.Errorf("%d discoveries", n)
			}
		}},
		{name: "given a router that answers Unavailable once when a job is asked for then it is asked again and the job comes by it", args: on, opts: sim.Options{JobRouter: true}, run: func(t *testing.T, s *site) {
			const unavailable = 14
			s.gitlab.Inject(sim.Fault{Endpoint: sim.JobRouter, Code: unavailable})
			s.start()
			s.job(t)
			routed(t, s, true)
		}},
		{name: "given a router that refuses the token when a job is asked for then the tunnel says so", args: on, opts: sim.Options{JobRouter: true}, run: func(t *testing.T, s *site) {
			const unauthenticated = 16
			s.gitlab.Inject(sim.Fault{Endpoint: sim.JobRouter, Code: unauthenticated})
			s.start()
			s.line(t, "job router answers Unauthenticated")
			s.job(t)
		}},
	})
}
