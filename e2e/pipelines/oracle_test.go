package pipelines

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// consult runs the jobs with the real programs until the test ends.
func (s *site) consult(t *testing.T, token string) {
	t.Helper()
	tools, err := filepath.Abs(*oracle)
	must(t, err)
	for _, program := range []string{"kubectl", "helm", "yq", "kustomize"} {
		if _, err := os.Stat(filepath.Join(tools, program)); err != nil {
			t.Fatalf("the folder of real programs lacks one: %v", err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &oracleRunner{t: t, url: s.gitlab.URL(), token: token, tools: tools, kubeconfig: s.cluster.Kubeconfig(), dir: s.dir}
	ended := make(chan struct{})
	for range concurrent {
		go func() {
			r.serve(ctx)
			ended <- struct{}{}
		}()
	}
	t.Cleanup(func() {
		cancel()
		for range concurrent {
			<-ended
		}
	})
}

// consulted compares what the real programs did with what is expected of ours,
// and keeps it beside the programs.
func (a *attempt) consulted(file, got string) {
	a.Helper()
	kept := filepath.Join(*oracle, "..", "out", a.name, strings.TrimPrefix(file, filepath.Join(projects, a.name, "want")))
	must(a.T, os.MkdirAll(filepath.Dir(kept), 0o755))
	must(a.T, os.WriteFile(kept, []byte(got), 0o644))
	want, err := os.ReadFile(file)
	if err != nil {
		a.Error(err)
		return
	}
	if diff := cmp.Diff(lines(a.comparable(string(want))), lines(a.comparable(got))); diff != "" {
		a.Errorf("%s (-ours +real programs):\n%s", file, diff)
	}
}

var lineNumber = regexp.MustCompile(`line \d+: `)

// comparable leaves out the differences that the project knows of.
func (a *attempt) comparable(text string) string {
	text = lineNumber.ReplaceAllString(text, "line N: ")
	for _, pattern := range a.about.Differs {
		text = regexp.MustCompile("(?m)^(?:"+pattern+")\n").ReplaceAllString(text, "")
	}
	return text
}

// oracleRunner is a runner with as much of GitLab's protocol as the projects
// need: the shell executor with the real bash.
type oracleRunner struct {
	t          *testing.T
	url, token string
	tools      string
	kubeconfig string
	dir        string
}

type payload struct {
	ID      int64  `json:"id"`
	Token   string `json:"token"`
	JobInfo struct {
		Project int64 `json:"project_id"`
	} `json:"job_info"`
	Git struct {
		URL      string   `json:"repo_url"`
		SHA      string   `json:"sha"`
		Refspecs []string `json:"refspecs"`
		Depth    int      `json:"depth"`
	} `json:"git_info"`
	Variables []struct {
		Key, Value        string
		Masked, File, Raw bool
	} `json:"variables"`
	Steps []struct {
		Name   string   `json:"name"`
		Script []string `json:"script"`
	} `json:"steps"`
	Artifacts []struct {
		Name     string   `json:"name"`
		Paths    []string `json:"paths"`
		Exclude  []string `json:"exclude"`
		When     string   `json:"when"`
		Type     string   `json:"artifact_type"`
		Format   string   `json:"artifact_format"`
		ExpireIn string   `json:"expire_in"`
	} `json:"artifacts"`
	Dependencies []struct {
		ID       int64     `json:"id"`
		Token    string    `json:"token"`
		Artifact *struct{} `json:"artifacts_file"`
	} `json:"dependencies"`
}

func (r *oracleRunner) serve(ctx context.Context) {
	for ctx.Err() == nil {
		info := map[string]any{"name": "oracle", "version": "19.4.0", "executor": "shell", "shell": "bash", "features": map[string]bool{
			"upload_multiple_artifacts": true, "artifacts_exclude": true, "return_exit_code": true, "fallback_cache_keys": true,
		}}
		body, status := r.call(ctx, http.MethodPost, "/api/v4/jobs/request", map[string]any{"token": r.token, "system_id": "s_000000000000", "info": info})
		if status != http.StatusCreated {
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		var p payload
		if err := json.Unmarshal(body, &p); err != nil {
			r.t.Errorf("payload: %v", err)
			continue
		}
		r.finish(ctx, r.start(p))
	}
}

// finish sends the log and the state.
func (r *oracleRunner) finish(ctx context.Context, j *oracleJob) {
	log := append([]byte("\x1b[0;m"), j.log.Bytes()...)
	req, err := http.NewRequestWithContext(ctx, http.MethodPatch, fmt.Sprintf("%s/api/v4/jobs/%d/trace", r.url, j.ID), bytes.NewReader(log))
	if err != nil {
		r.t.Error(err)
		return
	}
	req.Header.Set("JOB-TOKEN", j.Token)
	req.Header.Set("Content-Type", "text/plain")
	req.Header.Set("Content-Range", fmt.Sprintf("0-%d", len(log)-1))
	if resp, err := http.DefaultClient.Do(req); err == nil {
		resp.Body.Close()
	}
	final := map[string]any{"token": j.Token, "state": "success"}
	if j.code != 0 {
		final = map[string]any{"token": j.Token, "state": "failed", "failure_reason": "script_failure", "exit_code": j.code}
	}
	if body, status := r.call(ctx, http.MethodPut, fmt.Sprintf("/api/v4/jobs/%d", j.ID), final); status != http.StatusOK {
		r.t.Errorf("job %d: final state answered %d: %s", j.ID, status, body)
	}
}

func (r *oracleRunner) call(ctx context.Context, method, path string, body any) ([]byte, int) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, 0
	}
	req, err := http.NewRequestWithContext(ctx, method, r.url+path, bytes.NewReader(text))
	if err != nil {
		return nil, 0
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, 0
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(resp.Body)
	return answer, resp.StatusCode
}
