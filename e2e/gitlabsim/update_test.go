package gitlabsim

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// Cases 49 and 55.
func TestFinalPut(t *testing.T) {
	f, j := jobFixture(t, Options{})
	j.log("hello\n")
	r := j.finish("success", nil)
	f.wantStatus(r, http.StatusOK)
	if string(r.body) != "200" || r.header.Get("Job-Status") != "success" || r.header.Get("X-GitLab-Trace-Update-Interval") != "" {
		t.Errorf("%s %v", r.body, r.header)
	}
	v, err := f.Wait(shortContext(t), j.id)
	f.must(err)
	if v.Status != Success || !v.Checksum.Equal || v.Checksum.AnnouncedSize != 6 || v.ExitCode != nil {
		t.Errorf("job = %+v", v)
	}
	f.clean()
}

func TestFailedWithExitCode(t *testing.T) {
	f, j := jobFixture(t, Options{})
	j.log("x")
	f.wantStatus(j.finish("failed", map[string]any{"exit_code": 42}), http.StatusOK)
	if v := j.state(); v.Status != Failed || v.FailureReason != "script_failure" || *v.ExitCode != 42 {
		t.Errorf("job = %+v", v)
	}
	f.clean()
}

func TestFailureReasonEnum(t *testing.T) {
	f, j := jobFixture(t, Options{})
	j.log("x")
	f.wantStatus(j.finish("failed", map[string]any{"failure_reason": "image_pull_failure"}), http.StatusOK)
	if v := j.state(); v.FailureReason != "unknown_failure" {
		t.Errorf("reason = %s", v.FailureReason)
	}
	f.wantAnomaly("not one of GitLab's")
}

// Case 57.
func TestPutRefusals(t *testing.T) {
	f, j := jobFixture(t, Options{})
	r := j.put(map[string]any{"state": "bogus"})
	f.wantStatus(r, http.StatusBadRequest)
	if string(r.body) != "400" {
		t.Errorf("body = %s", r.body)
	}
	f.wantAnomaly("unknown state")
	f.wantStatus(j.put(map[string]any{"state": "pending"}), http.StatusBadRequest)
	f.ResetAnomalies()
	f.wantStatus(f.sendJSON("PUT", j.path(""), map[string]any{"state": "running"}), http.StatusBadRequest)
	f.wantAnomaly("no token")
	f.wantStatus(f.sendJSON("PUT", j.path(""), map[string]any{"state": "running", "token": "wrong"}), http.StatusForbidden)
	f.wantAnomaly("wrong job token")
	f.wantStatus(j.put(map[string]any{"state": "failed", "exit_code": "one"}), http.StatusBadRequest)
	f.wantAnomaly("exit_code is invalid")
	f.wantStatus(j.put(map[string]any{"state": "running", "mood": "good"}), http.StatusOK)
	f.wantAnomaly(`unknown key "mood"`)
	if j.state().Status != Running {
		t.Error("a refused PUT changed the job")
	}
}

func TestFinalPutSums(t *testing.T) {
	for want, sent := range map[string]map[string]any{
		"announces 9 bytes":        {"output": map[string]any{"checksum": "crc32:3610a686", "bytesize": 9}},
		"announces checksum crc":   {"output": map[string]any{"checksum": "crc32:00000000", "bytesize": 5}, "checksum": ""},
		"without checksum":         {"output": nil, "checksum": ""},
		"checksum and output.chec": {"checksum": "crc32:00000000"},
	} {
		t.Run(want, func(t *testing.T) {
			f, j := jobFixture(t, Options{})
			j.log("hello")
			f.wantStatus(j.finish("success", sent), http.StatusOK)
			f.wantAnomaly(want)
		})
	}
}

// 202 while the log is persisted (8.2).
func TestPersistingAnswers202(t *testing.T) {
	clk := newClock()
	f, j := jobFixture(t, Options{PersistAnswers: 3, Now: clk.Now})
	j.log("hello")
	for _, want := range []string{"1", "2", "4"} {
		r := j.finish("success", nil)
		f.wantStatus(r, http.StatusAccepted)
		if got := r.header.Get("X-GitLab-Trace-Update-Interval"); got != want || string(r.body) != "202" || r.header.Get("Job-Status") != "running" {
			t.Errorf("interval %q, want %s; %s %v", got, want, r.body, r.header)
		}
		clk.add(5 * time.Second)
	}
	f.wantStatus(j.finish("success", nil), http.StatusOK)
	f.clean()
}

func TestPersistingGivesUpAfterFiveMinutes(t *testing.T) {
	clk := newClock()
	f, j := jobFixture(t, Options{PersistAnswers: 1000, Now: clk.Now})
	j.log("x")
	f.wantStatus(j.finish("success", nil), http.StatusAccepted)
	clk.add(5*time.Minute + time.Second)
	f.wantStatus(j.finish("success", nil), http.StatusOK)
}

// Case 68.
func TestFinalPutWhileCancelingBecomesCanceled(t *testing.T) {
	for _, state := range []string{"success", "failed"} {
		f, j := jobFixture(t, Options{})
		j.log("x")
		f.must(f.CancelJob(j.id))
		r := j.put(map[string]any{"state": "running"})
		f.wantStatus(r, http.StatusOK)
		if r.header.Get("Job-Status") != "canceling" {
			t.Errorf("Job-Status = %q", r.header.Get("Job-Status"))
		}
		r = j.finish(state, nil)
		f.wantStatus(r, http.StatusOK)
		if v := j.state(); v.Status != Canceled || r.header.Get("Job-Status") != "canceled" {
			t.Errorf("%s: %s, header %s", state, v.Status, r.header.Get("Job-Status"))
		}
		f.clean()
	}
}

// Case 59 and an expired token.
func TestErasedAndExpired(t *testing.T) {
	f, j := jobFixture(t, Options{})
	f.must(f.EraseJob(j.id))
	r := j.put(map[string]any{"state": "running"})
	f.wantStatus(r, http.StatusForbidden)
	if !strings.Contains(string(r.body), "403 Forbidden - Job has been erased!") {
		t.Errorf("body = %s", r.body)
	}
	f2, k := jobFixture(t, Options{})
	f2.must(f2.ExpireJobToken(k.id))
	r = k.put(map[string]any{"state": "running"})
	f2.wantStatus(r, http.StatusForbidden)
	if v := k.state(); v.FailureReason != "job_token_expired" || !strings.Contains(string(r.body), "403 Forbidden - Job token has expired") {
		t.Errorf("%s: %s", v.FailureReason, r.body)
	}
}

// Nothing is accepted after the final state.
func TestAfterFinalEverythingIs403(t *testing.T) {
	f, j := jobFixture(t, Options{})
	j.log("x")
	f.wantStatus(j.finish("success", nil), http.StatusOK)
	for name, r := range map[string]reply{"patch": j.log("y"), "put": j.finish("success", nil), "upload": j.upload("archive", "zip", "a.zip", "PKx")} {
		if r.status != http.StatusForbidden || r.header.Get("Job-Status") != "success" {
			t.Errorf("%s: %d %v", name, r.status, r.header)
		}
	}
	f.wantAnomaly("after the final state")
}

// The early PUT of 8.4.
func TestMissingFirstPut(t *testing.T) {
	t.Run("trace first", func(t *testing.T) {
		f := newFixture(t, Options{})
		f.pipeline(simpleYAML)
		f.takeOnly().log("x")
		f.wantAnomaly("before the first PUT running")
	})
	t.Run("never", func(t *testing.T) {
		clk := newClock()
		f := newFixture(t, Options{Now: clk.Now})
		f.pipeline(simpleYAML)
		f.takeOnly()
		f.clean()
		clk.add(11 * time.Second)
		f.wantAnomaly("first PUT running never came")
	})
}

func TestWatchdogs(t *testing.T) {
	clk := newClock()
	f := newFixture(t, Options{Now: clk.Now})
	f.pipeline("a:\n  script: [x]\nb:\n  script: [x]\n  timeout: 5 minutes\nc:\n  script: [x]\n  tags: [nobody]\n")
	silent, late := f.take(), f.take()
	clk.add(16 * time.Minute)
	late.put(map[string]any{"state": "running"})
	clk.add(15 * time.Minute)
	f.RunWatchdogs()
	if s, l := silent.state(), late.state(); s.FailureReason != "no_updates_running" || l.FailureReason != "server_timeout_running" {
		t.Errorf("silent %s, late %s", s.FailureReason, l.FailureReason)
	}
	clk.add(time.Hour)
	f.RunWatchdogs()
	pl, err := f.Pipeline(silent.state().Pipeline)
	f.must(err)
	if c, _ := pl.Job("c"); c.FailureReason != "stuck_pending_no_matching_runners" {
		t.Errorf("c = %s", c.FailureReason)
	}
}
