package simclient

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	sim "github.com/towline/towline/e2e/gitlabsim"
)

// runOne takes one job as a runner would and ends it.
func runOne(t *testing.T, url, token string) int64 {
	t.Helper()
	send := func(method, path string, header http.Header, body []byte) *http.Response {
		req, err := http.NewRequest(method, url+path, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = header
		req.Header.Set("User-Agent", "gitlab-runner 19.4.0")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
		return resp
	}
	jsonType := http.Header{"Content-Type": {"application/json"}}
	resp := send("POST", "/api/v4/jobs/request", jsonType.Clone(),
		fmt.Appendf(nil, `{"token":%q,"system_id":"r_AbCdEf012345","info":{"features":{"cancel_gracefully":true}}}`, token))
	var job struct {
		ID    int64
		Token string
	}
	if err := json.NewDecoder(resp.Body).Decode(&job); err != nil || resp.StatusCode != http.StatusCreated {
		t.Fatalf("%d %v", resp.StatusCode, err)
	}
	path := fmt.Sprintf("/api/v4/jobs/%d", job.ID)
	send("PUT", path, jsonType.Clone(), fmt.Appendf(nil, `{"token":%q,"state":"running"}`, job.Token))
	trace := http.Header{"Content-Type": {"text/plain"}, "Job-Token": {job.Token}, "Content-Range": {"0-5"}}
	send("PATCH", path+"/trace", trace, []byte("hello\n"))
	send("PUT", path, jsonType.Clone(), fmt.Appendf(nil, `{"token":%q,"state":"success","output":{"checksum":"crc32:363a3020","bytesize":6}}`, job.Token))
	return job.ID
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// connect starts a simulator and a client of its admin API.
func connect(t *testing.T) (*sim.Server, *Client, context.Context) {
	t.Helper()
	s, err := sim.Start(sim.Options{LongPoll: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return s, New(s.URL()+"/", nil), ctx
}

func TestWholeAPIOverHTTP(t *testing.T) {
	s, c, ctx := connect(t)
	if info := must[sim.Info](t)(c.Info(ctx)); info.URL != s.URL() {
		t.Errorf("info = %+v", info)
	}
	must[sim.User](t)(c.CreateUser(ctx, "alice"))
	must[sim.Project](t)(c.CreateProject(ctx, sim.ProjectOptions{Path: "acme/app"}))
	must[string](t)(c.Push(ctx, "acme/app", "", map[string]string{".gitlab-ci.yml": "a:\n  script: [x]\n"}))
	rn := must[sim.Runner](t)(c.CreateRunner(ctx, sim.RunnerOptions{RunUntagged: true}))
	must[sim.Agent](t)(c.CreateAgent(ctx, "acme/app", "prod"))
	must[string](t)(c.CreateAccessToken(ctx, sim.AccessTokenOptions{User: "alice", Scopes: []string{"api"}}))
	must[sim.DeployToken](t)(c.CreateDeployToken(ctx, "acme/app", ""))
	pl := must[sim.Pipeline](t)(c.RunPipeline(ctx, sim.PipelineOptions{Project: "acme/app"}))
	hit := must[int64](t)(c.Inject(ctx, sim.Fault{Endpoint: sim.Keys, Status: 500}))
	for _, err := range []error{
		c.AddMember(ctx, "acme", "alice", sim.Developer), c.SetVariable(ctx, "instance", sim.Variable{Key: "A", Value: "b"}),
		c.CreateTag(ctx, "acme/app", "v1", "main"), c.SetProtected(ctx, "acme/app", "main"), c.PauseRunner(ctx, rn.ID, false),
		c.WatchJob(ctx, pl.Jobs[0].ID, true), c.SetOutage(ctx, true), c.SetOutage(ctx, false), c.RunWatchdogs(ctx),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	id := runOne(t, s.URL(), rn.Token)
	if err := c.WaitTrace(ctx, id, "hello"); err != nil {
		t.Error(err)
	}
	if j := must[sim.Job](t)(c.Wait(ctx, id)); j.Status != sim.Success || !j.Checksum.Equal || j.At(sim.EventFinalPut).IsZero() {
		t.Errorf("job = %+v", j)
	}
	if p := must[sim.Pipeline](t)(c.WaitPipeline(ctx, pl.ID)); p.Status != sim.Success {
		t.Errorf("pipeline = %+v", p)
	}
	if raw := must[[]byte](t)(c.Trace(ctx, id)); string(raw) != "hello\n" {
		t.Errorf("log = %q", raw)
	}
	if l, err := c.Log(ctx, id); err != nil || l.Lines[0].Text != "hello" {
		t.Errorf("log = %+v, %v", l, err)
	}
	if a := must[[]sim.Anomaly](t)(c.Anomalies(ctx)); len(a) != 0 {
		t.Errorf("anomalies = %+v", a)
	}
	if n := must[int](t)(c.FaultHits(ctx, hit)); n != 0 {
		t.Errorf("hits = %d", n)
	}
	if calls := must[[]sim.Call](t)(c.Calls(ctx)); len(calls) != 4 {
		t.Errorf("calls = %+v", calls)
	}
	if _, err := c.Job(ctx, 1); err == nil || !strings.Contains(err.Error(), "job 1 not found") {
		t.Errorf("error = %v", err)
	}
	if err := c.CancelJob(ctx, id); err == nil {
		t.Error("a finished job can be canceled")
	}
	if err := c.DeleteRunner(ctx, rn.ID); err != nil {
		t.Error(err)
	}
}
