package gitlabsim

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Cases 1 and 2: 204 carries the queue value, 201 does not.
func TestPollAnswers204WithLastUpdateAnd201Without(t *testing.T) {
	f := newFixture(t, Options{})
	r := f.poll()
	f.wantStatus(r, http.StatusNoContent)
	first := r.header.Get("X-GitLab-Last-Update")
	if first == "" || r.header.Get("Gitlab-Ci-Builds-Polling") != "" {
		t.Fatalf("headers = %v", r.header)
	}
	r = f.poll()
	f.wantStatus(r, http.StatusNoContent)
	if r.header.Get("X-GitLab-Last-Update") != first {
		t.Error("an unchanged queue has a new value")
	}
	pl := f.pipeline(simpleYAML)
	r = f.poll()
	f.wantStatus(r, http.StatusCreated)
	if _, ok := r.header["X-Gitlab-Last-Update"]; ok {
		t.Error("201 carries X-GitLab-Last-Update")
	}
	if ct := r.header.Get("Content-Type"); ct != "application/json" {
		t.Errorf("Content-Type = %q", ct)
	}
	if j, _ := f.Job(pl.Jobs[0].ID); j.Status != Running || j.SystemID != f.system || j.Runner != f.runner.ID {
		t.Errorf("job = %+v", j)
	}
	f.clean()
}

func TestLongPoll(t *testing.T) {
	f := newFixture(t, Options{LongPoll: 300 * time.Millisecond})
	r := f.poll()
	f.wantStatus(r, http.StatusNoContent)
	if r.header.Get("Gitlab-Ci-Builds-Polling") != "yes" || f.last == "" {
		t.Fatalf("headers = %v", r.header)
	}
	t.Run("timeout gives 204 without the value", func(t *testing.T) {
		start := time.Now()
		r := f.poll()
		f.wantStatus(r, http.StatusNoContent)
		if r.header.Get("X-GitLab-Last-Update") != "" || time.Since(start) < 300*time.Millisecond {
			t.Errorf("headers %v after %s", r.header, time.Since(start))
		}
	})
	t.Run("other content type is not held", func(t *testing.T) {
		body := []byte(`{"token":"` + f.runner.Token + `","system_id":"` + f.system + `","last_update":"` + f.last + `"}`)
		start := time.Now()
		r := f.send("POST", "/api/v4/jobs/request", map[string]string{"Content-Type": "text/json"}, body)
		f.wantStatus(r, http.StatusNoContent)
		if time.Since(start) > 30*time.Second || r.header.Get("Gitlab-Ci-Builds-Polling") != "" {
			t.Errorf("held for %s", time.Since(start))
		}
		f.wantAnomaly("Content-Type")
	})
	f.clean()
}

// A poll that is held for as long as GitLab does it ends sooner by what it waits
// for.
func TestAHeldPollIsReleased(t *testing.T) {
	released := func(t *testing.T, change func(f *fixture) error) *fixture {
		f := newFixture(t, Options{LongPoll: 10 * time.Minute})
		_, err := f.Push(f.project, "main", map[string]string{".gitlab-ci.yml": simpleYAML})
		f.must(err)
		f.wantStatus(f.poll(), http.StatusNoContent) // without the value, so that it is not held
		changed := make(chan error, 1)
		go func() {
			f.held()
			changed <- change(f)
		}()
		r := f.poll()
		f.must(<-changed)
		f.wantStatus(r, http.StatusNoContent)
		if r.header.Get("X-GitLab-Last-Update") != "" {
			t.Error("Workhorse's 204 carries the value")
		}
		return f
	}
	t.Run("by a job, which the next poll gets", func(t *testing.T) {
		f := released(t, func(f *fixture) error {
			_, err := f.RunPipeline(PipelineOptions{Project: f.project})
			return err
		})
		f.take()
		f.clean()
	})
	t.Run("by the runner's end", func(t *testing.T) {
		f := released(t, func(f *fixture) error { return f.DeleteRunner(f.runner.ID) })
		f.wantStatus(f.poll(), http.StatusForbidden)
		f.clean()
	})
}

// Case 14.
func TestMissingFeatureDropsTheJob(t *testing.T) {
	for feature, yaml := range map[string]string{
		"artifacts_exclude":         "a:\n  script: [x]\n  artifacts: {paths: [a], exclude: [b]}\n",
		"upload_multiple_artifacts": "a:\n  script: [x]\n  artifacts: {reports: {dotenv: build.env}}\n",
		"return_exit_code":          "a:\n  script: [x]\n  allow_failure: {exit_codes: 3}\n",
		"fallback_cache_keys":       "a:\n  script: [x]\n  cache: {key: k, paths: [p], fallback_keys: [z]}\n",
	} {
		t.Run(feature, func(t *testing.T) {
			f := newFixture(t, Options{})
			pl := f.pipeline(yaml)
			delete(f.info["features"].(map[string]any), feature)
			f.wantStatus(f.poll(), http.StatusNoContent)
			if j, _ := f.Job(pl.Jobs[0].ID); j.Status != Failed || j.FailureReason != "runner_unsupported" {
				t.Errorf("job is %s %s", j.Status, j.FailureReason)
			}
			f.clean()
		})
	}
}

// Cases 15 and 16, tags, protection and scope.
func TestAssignmentRules(t *testing.T) {
	for name, tt := range map[string]struct {
		opts RunnerOptions
		yaml string
		ref  string
		want int
	}{
		"paused":                    {RunnerOptions{RunUntagged: true, Paused: true}, simpleYAML, "main", 204},
		"untagged":                  {RunnerOptions{Tags: []string{"a"}}, simpleYAML, "main", 204},
		"untagged allowed":          {RunnerOptions{RunUntagged: true}, simpleYAML, "main", 201},
		"tags are a subset":         {RunnerOptions{Tags: []string{"a", "b"}}, "j:\n  tags: [a]\n  script: [x]\n", "main", 201},
		"tag missing":               {RunnerOptions{Tags: []string{"a"}}, "j:\n  tags: [a, b]\n  script: [x]\n", "main", 204},
		"protected, protected ref":  {RunnerOptions{RunUntagged: true, Protected: true}, simpleYAML, "main", 201},
		"protected, other ref":      {RunnerOptions{RunUntagged: true, Protected: true}, simpleYAML, "topic", 204},
		"other project":             {RunnerOptions{RunUntagged: true, Scope: "project:acme/apps/other"}, simpleYAML, "main", 204},
		"own project":               {RunnerOptions{RunUntagged: true, Scope: "project:acme/apps/hello"}, simpleYAML, "main", 201},
		"outer group":               {RunnerOptions{RunUntagged: true, Scope: "group:acme"}, simpleYAML, "main", 201},
		"group with similar prefix": {RunnerOptions{RunUntagged: true, Scope: "group:acme/app"}, simpleYAML, "main", 204},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, Options{})
			rn, err := f.CreateRunner(tt.opts)
			f.must(err)
			f.runner = rn
			_, err = f.Push(f.project, tt.ref, map[string]string{".gitlab-ci.yml": tt.yaml})
			f.must(err)
			_, err = f.RunPipeline(PipelineOptions{Project: f.project, Ref: tt.ref})
			f.must(err)
			r := f.poll()
			f.wantStatus(r, tt.want)
			if r.status == 204 && r.header.Get("X-GitLab-Last-Update") == "" {
				t.Error("204 without the queue value")
			}
			f.clean()
		})
	}
}

// Case 17: the job fails with scheduler_failure, is retried twice on its own,
// and the poll answers 204.
func TestPayloadErrorIsSchedulerFailure(t *testing.T) {
	f := newFixture(t, Options{})
	pl := f.pipeline(simpleYAML)
	f.Inject(Fault{Endpoint: JobsRequest, BuildError: true})
	f.wantStatus(f.poll(), http.StatusNoContent)
	j, err := f.Job(pl.Jobs[0].ID)
	f.must(err)
	if j.Status != Failed || j.FailureReason != "scheduler_failure" || !j.Retried {
		t.Fatalf("job = %+v", j)
	}
	if again := f.take(); again.id == j.ID || again.token == j.Token {
		t.Error("the retried job keeps id or token")
	}
	f.clean()
}

// Case 18.
func TestManagersBySystemID(t *testing.T) {
	f := newFixture(t, Options{})
	f.poll()
	f.poll()
	rn, err := f.Runner(f.runner.ID)
	f.must(err)
	if len(rn.Managers) != 1 || rn.Managers[0].Version != "19.4.0" || !rn.Managers[0].Features["refspecs"] {
		t.Fatalf("managers = %+v", rn.Managers)
	}
	f.clean()
	f.system = "s_0123456789ab"
	f.poll()
	f.wantAnomaly("system_id number 2")
	f.system = "my-pod"
	f.poll()
	f.wantAnomaly("bad form")
}

// The first contact decides the stored features for 40 minutes: without them
// cancel does not wait for after_script.
func TestInfoIsStoredRarely(t *testing.T) {
	clk := newClock()
	f := newFixture(t, Options{Now: clk.Now})
	info := f.info
	f.info = nil
	f.poll()
	f.wantAnomaly("no info")
	f.info = info
	pl := f.pipeline("a:\n  script: [x]\nb:\n  script: [x]\n")
	j := f.take()
	f.must(f.CancelJob(j.id))
	if got := j.state().Status; got != Canceled {
		t.Errorf("without stored features: %s", got)
	}
	clk.add(41 * time.Minute)
	j = f.take()
	f.must(f.CancelJob(j.id))
	if got := j.state().Status; got != Canceling || pl.ID == 0 {
		t.Errorf("with stored features: %s", got)
	}
}

// Case 19 and the answers of 2.3.
func TestVerify(t *testing.T) {
	f := newFixture(t, Options{})
	body := map[string]any{"token": f.runner.Token, "system_id": f.system, "info": f.info}
	r := f.sendJSON("POST", "/api/v4/runners/verify", body)
	f.wantStatus(r, http.StatusOK)
	m := r.json(t)
	if m["token"] != f.runner.Token || m["id"].(float64) != float64(f.runner.ID) || !strings.Contains(string(r.body), `"token_expires_at":null`) {
		t.Errorf("body = %s", r.body)
	}
	f.clean()
	f.must(f.DeleteRunner(f.runner.ID))
	for range 5 {
		r = f.sendJSON("POST", "/api/v4/runners/verify", body)
		f.wantStatus(r, http.StatusForbidden)
	}
	if string(bytes.TrimSpace(r.body)) != `{"message":"403 Forbidden"}` {
		t.Errorf("body = %s", r.body)
	}
	f.clean()
	f.sendJSON("POST", "/api/v4/runners/verify", body)
	f.wantAnomaly("was removed and still calls")
	body["token"] = "glrt-t1_nonsense"
	f.wantStatus(f.sendJSON("POST", "/api/v4/runners/verify", body), http.StatusForbidden)
	f.wantAnomaly("unknown runner token")
	delete(body, "token")
	f.wantStatus(f.sendJSON("POST", "/api/v4/runners/verify", body), http.StatusBadRequest)
	f.wantAnomaly("no token")
	f.wantStatus(f.send("GET", "/api/v4/runners/router/discovery", nil, nil), http.StatusForbidden)
	f.wantAnomaly("router discovery with an unknown runner token")
}

func TestRequestLimits(t *testing.T) {
	clk := newClock()
	f := newFixture(t, Options{RequestLimit: 2, JobLimit: 3, PatchLimit: 1, Now: clk.Now})
	f.pipeline(simpleYAML)
	j := f.take()
	f.poll()
	r := f.poll()
	f.wantStatus(r, http.StatusTooManyRequests)
	if r.header.Get("Retry-After") != "60" {
		t.Errorf("headers = %v", r.header)
	}
	f.wantStatus(j.log("a"), http.StatusAccepted)
	f.wantStatus(j.log("b"), http.StatusTooManyRequests)
	clk.add(time.Minute)
	f.wantStatus(f.poll(), http.StatusNoContent)
	f.wantStatus(j.log("b"), http.StatusAccepted)
	f.clean()
}

func TestRequestAnomalies(t *testing.T) {
	f := newFixture(t, Options{LongPoll: 3 * time.Second}) // two held polls overlap for longer than is let pass
	t.Run("body over 32 KiB", func(t *testing.T) {
		body := f.requestBody()
		body["last_update"] = strings.Repeat("x", 33<<10)
		f.wantStatus(f.sendJSON("POST", "/api/v4/jobs/request", body), http.StatusRequestEntityTooLarge)
		f.wantAnomaly("larger than")
	})
	t.Run("unknown keys", func(t *testing.T) {
		body := f.requestBody()
		body["job_age"] = 3
		body["info"] = map[string]any{"nme": "x", "features": map[string]any{"teleport": true}}
		f.sendJSON("POST", "/api/v4/jobs/request", body)
		for _, want := range []string{`unknown key "job_age"`, `unknown key "info.nme"`, `unknown feature "teleport"`} {
			found := false
			for _, a := range f.Anomalies() {
				found = found || strings.Contains(a.What, want)
			}
			if !found {
				t.Errorf("no anomaly %q", want)
			}
		}
		f.ResetAnomalies()
		f.poll()
		f.wantAnomaly("features changed")
	})
	t.Run("no User-Agent", func(t *testing.T) {
		f.send("POST", "/api/v4/jobs/request", map[string]string{"User-Agent": "", "Content-Type": "application/json"}, []byte(`{"token":"x"}`))
		f.wantAnomaly("User-Agent missing")
	})
	t.Run("two polls at once", func(t *testing.T) {
		f.last = ""
		f.poll()
		done := make(chan struct{})
		go func() { defer close(done); f.poll() }()
		f.poll()
		<-done
		f.wantAnomaly("at the same time")
	})
	t.Run("busy loop", func(t *testing.T) {
		f := newFixture(t, Options{Now: newClock().Now}) // on which it takes no time
		for range 12 {
			f.last = ""
			f.poll()
		}
		f.wantAnomaly("more than 10 times a second")
	})
}
