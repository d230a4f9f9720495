package app

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/ledger/redistest"
	"github.com/towline/towline/pkg/policyapi"
)

const job = `{"id":1001,"token":"glcbt-64_jobsecret","job_info":{"name":"deploy","project_id":20,"project_full_path":"acme/app","pipeline_id":5},"variables":[]}`

// oneJob is a GitLab with one job for the runner.
type oneJob struct {
	mu     sync.Mutex
	handed bool
	log    string
	final  map[string]any
}

func (g *oneJob) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	answer := func(code int, text string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_, _ = io.WriteString(w, text)
	}
	switch r.Method + " " + r.URL.Path {
	case "POST /api/v4/jobs/request":
		if g.handed {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		g.handed = true
		answer(http.StatusCreated, job)
	case "GET /api/v4/job/allowed_agents":
		answer(http.StatusOK, `{"job":{"id":1001},"project":{"id":20}}`)
	case "PATCH /api/v4/jobs/1001/trace":
		g.log += string(body)
		w.WriteHeader(http.StatusAccepted)
	case "PUT /api/v4/jobs/1001":
		var u map[string]any
		if json.Unmarshal(body, &u) == nil && u["state"] != "running" {
			g.final = u
		}
		answer(http.StatusOK, "200")
	default:
		quietGitLab(w, r)
	}
}

// A job that policy denies takes the whole way through the process: ticket,
// request, record, evidence, decision, log, final state.
func TestDeniedJobTakesTheWholeWay(t *testing.T) {
	t.Parallel()
	git, redis, prefix := &oneJob{}, redistest.New(t), redistest.Prefix(t)
	policy := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != policyapi.PathDecide {
			status(http.StatusOK)(w, r)
			return
		}
		req, err := policyapi.ReadRequest(r.Body)
		if err != nil || req.Job.ID != 1001 || req.AllowedAgents == nil || req.Configuration != nil || r.Header.Get("Authorization") != "Bearer sa-token" {
			t.Errorf("policy is asked %+v, %v, with %q", req, err, r.Header.Get("Authorization"))
		}
		_ = json.NewEncoder(w).Encode(policyapi.Decision{Reasons: []string{"not in the list"}})
	})
	p := start(t, serve(t, git.ServeHTTP), policy, redis.URL, key,
		"--redis-prefix="+prefix, "--name=cluster one", "--service-token-file="+file(t, "st", "sa-token"))
	rdb, err := ledger.Open(redis.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer rdb.Close()
	if err := ledger.New(rdb, prefix).Offer(t.Context(), "r1/0", time.Minute); err != nil {
		t.Fatal(err)
	}
	p.eventually("the job has ended at GitLab", func() bool { git.mu.Lock(); defer git.mu.Unlock(); return git.final != nil })
	if err := p.stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	git.mu.Lock()
	defer git.mu.Unlock()
	if git.final["state"] != "failed" || git.final["failure_reason"] != "script_failure" {
		t.Errorf("final %v", git.final)
	}
	if !strings.Contains(git.log, "on cluster one, system ID: r_") || !strings.Contains(git.log, "  not in the list\n") {
		t.Errorf("log %q", git.log)
	}
	for _, secret := range []string{token, "glcbt-64_jobsecret", "sa-token"} {
		if strings.Contains(p.out.String(), secret) || strings.Contains(git.log, secret) {
			t.Errorf("%s is in a log", secret)
		}
	}
}
