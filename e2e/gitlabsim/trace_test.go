package gitlabsim

import (
	"net/http"
	"strings"
	"testing"
)

func jobFixture(t *testing.T, opts Options) (*fixture, *testJob) {
	t.Helper()
	f := newFixture(t, opts)
	f.pipeline(simpleYAML)
	return f, f.take()
}

// Cases 26 and 39.
func TestPatchAppends(t *testing.T) {
	f, j := jobFixture(t, Options{})
	r := j.log(strings.Repeat("x", 1420))
	f.wantStatus(r, http.StatusAccepted)
	for k, want := range map[string]string{"Range": "0-1420", "Job-Status": "running", "X-GitLab-Trace-Update-Interval": "60"} {
		if got := r.header.Get(k); got != want {
			t.Errorf("%s = %q, want %q", k, got, want)
		}
	}
	f.must(f.WatchJob(j.id, true))
	if r = j.log("more"); r.header.Get("X-GitLab-Trace-Update-Interval") != "3" || r.header.Get("Range") != "0-1424" {
		t.Errorf("watched: %v", r.header)
	}
	f.must(f.WatchJob(j.id, false))
	if raw, _ := f.Trace(j.id); string(raw) != string(j.sent) {
		t.Error("stored log differs")
	}
	if v := j.state(); v.At(EventFirstByte).IsZero() || v.At(EventFirstPut).IsZero() || v.At(EventHandedOut).IsZero() {
		t.Errorf("timeline = %+v", v.Timeline)
	}
	f.clean()
}

// Case 29, and the classes of a 416.
func TestBadRangesAreRewound(t *testing.T) {
	f, j := jobFixture(t, Options{})
	j.log("0123456789")
	for _, start := range []int{5, 15} {
		r := j.patchAt(start, "abc", j.token)
		f.wantStatus(r, http.StatusRequestedRangeNotSatisfiable)
		if r.header.Get("Range") != "0-10" || r.header.Get("Job-Status") != "" {
			t.Errorf("headers = %v", r.header)
		}
		f.wantStatus(j.log("x"), http.StatusAccepted)
		if a := f.Anomalies(); len(a) != 1 || !a[0].Rewind || len(f.AnomaliesExcept()) != 0 {
			t.Errorf("anomalies = %+v", a)
		}
		f.ResetAnomalies()
		j.f.must(f.withJob(j.id, func(in *job) error { in.trace = in.trace[:10]; j.sent = j.sent[:10]; return nil }))
	}
	j.patchAt(11, "a", j.token)
	j.patchAt(11, "a", j.token)
	f.wantAnomaly("after a 416 that said so")
}

// An exact re-send whose end is the stored size is accepted without effect.
func TestExactResendIsAccepted(t *testing.T) {
	f, j := jobFixture(t, Options{})
	j.log("hello ")
	j.log("world")
	r := j.patchAt(6, "world", j.token)
	f.wantStatus(r, http.StatusAccepted)
	if raw, _ := f.Trace(j.id); string(raw) != "hello world" || r.header.Get("Range") != "0-11" {
		t.Errorf("log %q, %v", raw, r.header)
	}
	f.clean()
	f.wantStatus(j.patchAt(6, "WORLD", j.token), http.StatusAccepted)
	f.wantAnomaly("different content")
}

// Case 30.
func TestLostTraceIsResentFromZero(t *testing.T) {
	f, j := jobFixture(t, Options{})
	j.log("hello")
	f.must(f.LoseTrace(j.id))
	if r := j.log(" world"); r.status != 416 || r.header.Get("Range") != "0-0" {
		t.Fatalf("%d %v", r.status, r.header)
	}
	j.sent = nil
	f.wantStatus(j.log("hello world"), http.StatusAccepted)
	f.clean()
}

// Cases 31 and 32, wrong tokens, oddities of form.
func TestPatchRefusals(t *testing.T) {
	f, j := jobFixture(t, Options{})
	headers := map[string]string{"Content-Type": "text/plain", "JOB-TOKEN": j.token}
	f.wantStatus(f.send("PATCH", j.path("/trace"), headers, []byte("x")), http.StatusBadRequest)
	f.wantAnomaly("no Content-Range")
	headers["Content-Range"] = "0-0"
	r := f.send("PATCH", "/api/v4/jobs/99/trace", headers, []byte("x"))
	f.wantStatus(r, http.StatusForbidden)
	f.wantAnomaly("unknown job")
	f.wantStatus(j.patchAt(0, "x", "glcbt-wrong"), http.StatusForbidden)
	f.wantAnomaly("wrong job token")
	headers["Content-Range"] = "bytes 0-0"
	f.send("PATCH", j.path("/trace"), headers, []byte("x"))
	f.wantAnomaly("bad form")
	headers["Content-Range"] = "1-1"
	f.wantStatus(f.send("PATCH", j.path("/trace"), headers, nil), http.StatusAccepted)
	f.wantAnomaly("empty PATCH")
	headers["Content-Range"] = "1-9"
	f.wantStatus(f.send("PATCH", j.path("/trace?x=1"), headers, []byte("y")), http.StatusAccepted)
	f.wantAnomaly("does not fit")
	headers["Content-Type"], headers["Content-Range"] = "application/octet-stream", "2-2"
	f.send("PATCH", j.path("/trace"), headers, []byte("z"))
	f.wantAnomaly("instead of text/plain")
	j.sent = []byte("xyz")
	f.wantStatus(j.log(strings.Repeat("m", 1<<20+1)), http.StatusAccepted)
	f.wantAnomaly("more than 1 MiB")
}

func TestDebugTraceMarksTheJob(t *testing.T) {
	f, j := jobFixture(t, Options{})
	r := f.send("PATCH", j.path("/trace?debug_trace=true"), map[string]string{
		"Content-Type": "text/plain", "JOB-TOKEN": j.token, "Content-Range": "0-0",
	}, []byte("x"))
	f.wantStatus(r, http.StatusAccepted)
	if !j.state().Debug {
		t.Error("job is not marked as debug")
	}
	f.clean()
}

// Case 46.
func TestTraceSizeLimit(t *testing.T) {
	f, j := jobFixture(t, Options{TraceSizeLimit: 100})
	f.wantStatus(j.log(strings.Repeat("x", 100)), http.StatusAccepted)
	f.wantStatus(j.log("y"), http.StatusForbidden)
	if v := j.state(); v.Status != Failed || v.FailureReason != "trace_size_exceeded" {
		t.Errorf("job = %s %s", v.Status, v.FailureReason)
	}
	r := j.finish("success", nil)
	f.wantStatus(r, http.StatusForbidden)
	if r.header.Get("Job-Status") != "failed" || !strings.Contains(string(r.body), "Job is not processing on runner") {
		t.Errorf("%v %s", r.header, r.body)
	}
	f.clean()
}

// Cases 33 and 48.
func TestCancelShowsInJobStatus(t *testing.T) {
	t.Run("gracefully", func(t *testing.T) {
		f, j := jobFixture(t, Options{})
		f.must(f.CancelJob(j.id))
		r := j.log("x")
		f.wantStatus(r, http.StatusAccepted)
		if r.header.Get("Job-Status") != "canceling" {
			t.Errorf("Job-Status = %q", r.header.Get("Job-Status"))
		}
		f.clean()
	})
	t.Run("at once", func(t *testing.T) {
		f := newFixture(t, Options{})
		delete(f.info["features"].(map[string]any), "cancel_gracefully")
		f.pipeline(simpleYAML)
		j := f.take()
		f.must(f.CancelJob(j.id))
		r := j.log("x")
		f.wantStatus(r, http.StatusForbidden)
		if r.header.Get("Job-Status") != "canceled" {
			t.Errorf("Job-Status = %q", r.header.Get("Job-Status"))
		}
		f.wantStatus(j.finish("failed", nil), http.StatusForbidden)
		f.clean()
		j.log("x")
		j.log("x")
		f.wantAnomaly("after the client was told the job is canceled")
		if err := f.CancelJob(j.id); err == nil {
			t.Error("a canceled job can be canceled")
		}
	})
}
