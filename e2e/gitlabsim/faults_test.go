package gitlabsim

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestFaultStatusHeaderAndCounting(t *testing.T) {
	f, j := jobFixture(t, Options{})
	id := f.Inject(Fault{Endpoint: PatchTrace, From: 2, Times: 2, Status: 503, Header: map[string]string{"Retry-After": "1"}})
	for i, want := range []int{202, 503, 503, 202} {
		r := j.log("x")
		if r.status != want || (want == 503) != (r.header.Get("Retry-After") == "1") {
			t.Errorf("call %d: %d, want %d, %v", i, r.status, want, r.header)
		}
	}
	if n := f.FaultHits(id); n != 2 {
		t.Errorf("hits = %d", n)
	}
	if raw, _ := f.Trace(j.id); string(raw) != "xx" {
		t.Errorf("log = %q", raw)
	}
	f.clean()
}

// The exact re-send rule: the first attempt was applied, its answer lost.
func TestDropAfterApplyingAPatch(t *testing.T) {
	f, j := jobFixture(t, Options{})
	f.Inject(Fault{Endpoint: PatchTrace, DropAfter: true})
	header := map[string]string{"Content-Type": "text/plain", "JOB-TOKEN": j.token, "Content-Range": "0-4"}
	if r, err := f.do("PATCH", j.path("/trace"), header, []byte("hello")); err == nil {
		t.Fatalf("answered %d", r.status)
	}
	if raw, _ := f.Trace(j.id); string(raw) != "hello" {
		t.Fatalf("log = %q", raw)
	}
	f.wantStatus(j.log("hello"), http.StatusAccepted)
	f.wantStatus(j.finish("success", nil), http.StatusOK)
	f.clean()
}

func TestDropBeforeAppliesNothing(t *testing.T) {
	f, j := jobFixture(t, Options{})
	f.Inject(Fault{Endpoint: PatchTrace, Job: j.id, DropBefore: true})
	header := map[string]string{"Content-Type": "text/plain", "JOB-TOKEN": j.token, "Content-Range": "0-4"}
	if _, err := f.do("PATCH", j.path("/trace"), header, []byte("hello")); err == nil {
		t.Fatal("answered")
	}
	if raw, _ := f.Trace(j.id); len(raw) != 0 {
		t.Errorf("log = %q", raw)
	}
	f.clean()
}

// A final PUT whose answer is lost is sent again and meets 403: no blame.
func TestLostAnswerOfTheFinalPut(t *testing.T) {
	f, j := jobFixture(t, Options{})
	j.log("x")
	f.Inject(Fault{Endpoint: PutJob, Apply: true, Status: 500})
	f.wantStatus(j.finish("success", nil), 500)
	if j.state().Status != Success {
		t.Error("the PUT was not applied")
	}
	f.wantStatus(j.finish("success", nil), http.StatusForbidden)
	f.clean()
}

// 412 makes the client send the whole log again (case 51).
func TestInjected412(t *testing.T) {
	f, j := jobFixture(t, Options{})
	j.log("hello")
	f.Inject(Fault{Endpoint: PutJob, Status: 412})
	f.wantStatus(j.finish("success", nil), 412)
	f.wantStatus(j.patchAt(0, "hel", j.token), 416)
	f.wantStatus(j.patchAt(0, "hello", j.token), 202)
	f.wantStatus(j.finish("success", nil), 200)
	f.clean()
}

func TestWrongRangeAndRemovedHeader(t *testing.T) {
	f, j := jobFixture(t, Options{})
	f.Inject(Fault{Endpoint: PatchTrace, Apply: true, Status: 416, Header: map[string]string{"Range": "0-2", "Job-Status": ""}})
	r := j.log("hello")
	if r.status != 416 || r.header.Get("Range") != "0-2" || r.header.Get("Job-Status") != "" {
		t.Errorf("%d %v", r.status, r.header)
	}
	f.wantStatus(j.patchAt(2, "ll", j.token), 416)
	f.clean()
}

func TestPayloadFaults(t *testing.T) {
	f := newFixture(t, Options{MutatePayload: func(m map[string]any) { m["hooks"] = nil }})
	f.pipeline(simpleYAML)
	f.Inject(Fault{Endpoint: JobsRequest, SetPayload: map[string]json.RawMessage{"variables": json.RawMessage("null")}})
	p := f.takeOnly().payload
	if v, ok := p["variables"]; !ok || v != nil || p["hooks"] != nil || p["steps"] == nil {
		t.Errorf("payload = %v", p)
	}
	f.pipeline(simpleYAML)
	f.Inject(Fault{Endpoint: JobsRequest, Status: 409})
	f.wantStatus(f.poll(), 409)
	f.wantStatus(f.poll(), 201)
}

func TestFaultDelay(t *testing.T) {
	f := newFixture(t, Options{})
	f.Inject(Fault{Endpoint: JobsRequest, Delay: 50 * time.Millisecond})
	start := time.Now()
	f.wantStatus(f.poll(), http.StatusNoContent)
	if d := time.Since(start); d < 50*time.Millisecond {
		t.Errorf("answered after %s", d)
	}
	f.clean()
}

func TestOutage(t *testing.T) {
	f := newFixture(t, Options{LongPoll: 10 * time.Second})
	f.poll()
	failed := make(chan error, 1)
	go func() {
		_, err := f.do("POST", "/api/v4/jobs/request", map[string]string{"Content-Type": "application/json"},
			[]byte(`{"token":"`+f.runner.Token+`","last_update":"`+f.last+`"}`))
		failed <- err
	}()
	time.Sleep(50 * time.Millisecond)
	f.SetOutage(true)
	if err := <-failed; err == nil {
		t.Error("the blocked poll was answered")
	}
	if _, err := f.do("GET", "/-/jwks", nil, nil); err == nil {
		t.Error("answered during the outage")
	}
	f.SetOutage(false)
	f.wantStatus(f.send("GET", "/-/jwks", nil, nil), http.StatusOK)
	calls := f.Calls()
	dropped := 0
	for _, c := range calls {
		if c.Status == 0 {
			dropped++
		}
	}
	if dropped < 2 {
		t.Errorf("calls = %+v", calls)
	}
	f.clean()
}

// A client that does not wait for a late answer holds nothing up, and its
// request has no effect.
func TestDelayEndsWithItsClient(t *testing.T) {
	f, j := jobFixture(t, Options{})
	f.Inject(Fault{Endpoint: PatchTrace, Delay: time.Hour})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPatch, f.URL()+j.path("/trace"), strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("JOB-TOKEN", j.token)
	req.Header.Set("Content-Range", "0-4")
	if resp, err := http.DefaultClient.Do(req); err == nil {
		resp.Body.Close()
		t.Fatalf("answered %d", resp.StatusCode)
	}
	within, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	if err := f.http.Shutdown(within); err != nil {
		t.Errorf("the call is not over: %v", err)
	}
	if raw, _ := f.Trace(j.id); len(raw) != 0 {
		t.Errorf("log = %q", raw)
	}
}
