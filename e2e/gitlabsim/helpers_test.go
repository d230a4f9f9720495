package gitlabsim

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

const testAgent = "gitlab-runner 19.4.0 (test; go; linux/amd64)"

// clock is a settable time source.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Now().Truncate(time.Second)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// fixture is a server with one project, one runner and a client for it.
type fixture struct {
	*Server
	t       *testing.T
	project string
	runner  Runner
	system  string
	info    map[string]any
	last    string
}

const simpleYAML = "build:\n  script: [echo hi]\n"

func newFixture(t *testing.T, opts Options) *fixture {
	t.Helper()
	if opts.LongPoll == 0 {
		opts.LongPoll = -1
	}
	s, err := Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	f := &fixture{Server: s, t: t, project: "acme/apps/hello", system: "r_AbCdEf012345"}
	f.info = map[string]any{
		"name": "towline", "version": "19.4.0", "executor": "kubernetes",
		"features": map[string]any{
			"cancel_gracefully": true, "return_exit_code": true, "upload_multiple_artifacts": true, "artifacts_exclude": true,
			"fallback_cache_keys": true, "trace_checksum": true, "trace_size": true, "refspecs": true,
		},
	}
	if _, err := s.CreateProject(ProjectOptions{Path: f.project}); err != nil {
		t.Fatal(err)
	}
	if f.runner, err = s.CreateRunner(RunnerOptions{RunUntagged: true, Description: "sim", Tags: []string{"towline"}}); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fixture) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// pipeline commits the YAML to main and runs it.
func (f *fixture) pipeline(yaml string) Pipeline {
	f.t.Helper()
	_, err := f.Push(f.project, "main", map[string]string{".gitlab-ci.yml": yaml})
	f.must(err)
	pl, err := f.RunPipeline(PipelineOptions{Project: f.project})
	f.must(err)
	return pl
}

type reply struct {
	status int
	header http.Header
	body   []byte
}

func (r reply) json(t *testing.T) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(r.body, &m); err != nil {
		t.Fatalf("%v in %s", err, r.body)
	}
	return m
}

func (f *fixture) do(method, path string, header map[string]string, body []byte) (reply, error) {
	req, err := http.NewRequest(method, "http://"+f.Addr()+path, bytes.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	req.Header.Set("User-Agent", testAgent)
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := (&http.Client{Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, out}, err
}

func (f *fixture) send(method, path string, header map[string]string, body []byte) reply {
	f.t.Helper()
	r, err := f.do(method, path, header, body)
	f.must(err)
	return r
}

func (f *fixture) sendJSON(method, path string, body any) reply {
	f.t.Helper()
	b, err := json.Marshal(body)
	f.must(err)
	return f.send(method, path, map[string]string{"Content-Type": "application/json"}, b)
}

func (f *fixture) requestBody() map[string]any {
	return map[string]any{"token": f.runner.Token, "system_id": f.system, "info": f.info, "last_update": f.last}
}

// poll is one jobs/request; it keeps the last_update header as a runner does.
func (f *fixture) poll() reply {
	f.t.Helper()
	r := f.sendJSON("POST", "/api/v4/jobs/request", f.requestBody())
	if v := r.header.Get("X-GitLab-Last-Update"); v != "" {
		f.last = v
	}
	return r
}

// testJob is a job as its runner holds it.
type testJob struct {
	f       *fixture
	id      int64
	token   string
	payload map[string]any
	sent    []byte
}

// take polls until a job comes and sends the early PUT.
func (f *fixture) take() *testJob {
	f.t.Helper()
	j := f.takeOnly()
	if r := j.put(map[string]any{"state": "running"}); r.status != http.StatusOK {
		f.t.Fatalf("first PUT: %d %s", r.status, r.body)
	}
	return j
}

func (f *fixture) takeOnly() *testJob {
	f.t.Helper()
	r := f.poll()
	if r.status != http.StatusCreated {
		f.t.Fatalf("poll: %d %s", r.status, r.body)
	}
	p := r.json(f.t)
	return &testJob{f: f, id: int64(p["id"].(float64)), token: p["token"].(string), payload: p}
}

func (j *testJob) path(suffix string) string { return fmt.Sprintf("/api/v4/jobs/%d%s", j.id, suffix) }

func (j *testJob) patchAt(start int, body string, token string) reply {
	j.f.t.Helper()
	return j.f.send("PATCH", j.path("/trace?debug_trace=false"), map[string]string{
		"Content-Type": "text/plain", "JOB-TOKEN": token, "Content-Range": fmt.Sprintf("%d-%d", start, start+len(body)-1),
	}, []byte(body))
}

// log appends to the trace.
func (j *testJob) log(text string) reply {
	j.f.t.Helper()
	r := j.patchAt(len(j.sent), text, j.token)
	if r.status == http.StatusAccepted {
		j.sent = append(j.sent, text...)
	}
	return r
}

func (j *testJob) put(body map[string]any) reply {
	j.f.t.Helper()
	full := map[string]any{"token": j.token, "info": j.f.info}
	for k, v := range body {
		full[k] = v
	}
	return j.f.sendJSON("PUT", j.path(""), full)
}

// finish sends the final PUT with the right sums.
func (j *testJob) finish(state string, more map[string]any) reply {
	j.f.t.Helper()
	sum := fmt.Sprintf("crc32:%08x", crc32.ChecksumIEEE(j.sent))
	body := map[string]any{"state": state, "checksum": sum, "output": map[string]any{"checksum": sum, "bytesize": len(j.sent)}}
	if state == "failed" {
		body["failure_reason"] = "script_failure"
	}
	for k, v := range more {
		body[k] = v
	}
	return j.put(body)
}

func (j *testJob) state() Job {
	j.f.t.Helper()
	v, err := j.f.Job(j.id)
	j.f.must(err)
	return v
}

func (f *fixture) wantStatus(r reply, want int) {
	f.t.Helper()
	if r.status != want {
		f.t.Fatalf("status %d, want %d: %s", r.status, want, r.body)
	}
}

// clean fails on any anomaly.
func (f *fixture) clean() {
	f.t.Helper()
	for _, a := range f.Anomalies() {
		f.t.Errorf("anomaly: %+v", a)
	}
}

// wantAnomaly fails unless one with that text is recorded, and forgets all.
func (f *fixture) wantAnomaly(text string) {
	f.t.Helper()
	defer f.ResetAnomalies()
	for _, a := range f.Anomalies() {
		if strings.Contains(a.What, text) {
			return
		}
	}
	f.t.Errorf("no anomaly %q in %+v", text, f.Anomalies())
}

// variable answers the winning entry of the payload's list and how often the
// key occurs.
func (j *testJob) variable(key string) (entry map[string]any, count int) {
	for _, raw := range j.payload["variables"].([]any) {
		if v := raw.(map[string]any); v["key"] == key {
			entry, count = v, count+1
		}
	}
	return entry, count
}

// held waits until GitLab holds a poll.
func (f *fixture) held() {
	for over := time.Now().Add(time.Minute); time.Now().Before(over); time.Sleep(time.Millisecond) {
		f.mu.Lock()
		rn := f.runnerByToken(f.runner.Token)
		held := rn != nil && len(rn.inflight) > 0
		f.mu.Unlock()
		if held {
			return
		}
	}
	f.t.Error("no poll is held")
}

func shortContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}
