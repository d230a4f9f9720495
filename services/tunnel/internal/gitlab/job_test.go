package gitlab_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

func TestPatchTraceOutcomes(t *testing.T) {
	head := func(pairs ...string) map[string]string {
		h := map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			h[pairs[i]] = pairs[i+1]
		}
		return h
	}
	const every = "X-GitLab-Trace-Update-Interval"
	tests := map[string]struct {
		reply reply
		want  gitlab.PatchResult // without Why
	}{
		"accepted":                    {reply{202, head("Range", "0-1520", every, "60", "Job-Status", "running"), ""}, gitlab.PatchResult{Outcome: gitlab.PatchAccepted, Size: 1520, Interval: time.Minute, Status: "running"}},
		"watched":                     {reply{202, head(every, "3"), ""}, gitlab.PatchResult{Outcome: gitlab.PatchAccepted, Size: 1520, Interval: 3 * time.Second}},
		"an endless interval":         {reply{202, head(every, "86400"), ""}, gitlab.PatchResult{Outcome: gitlab.PatchAccepted, Size: 1520, Interval: 15 * time.Minute}},
		"no such number":              {reply{202, head(every, "99999999999999999999"), ""}, gitlab.PatchResult{Outcome: gitlab.PatchAccepted, Size: 1520}},
		"interval 0":                  {reply{202, head(every, "0"), ""}, gitlab.PatchResult{Outcome: gitlab.PatchAccepted, Size: 1520}},
		"interval 1/2":                {reply{202, head(every, "1/2"), ""}, gitlab.PatchResult{Outcome: gitlab.PatchAccepted, Size: 1520}},
		"canceling":                   {reply{202, head("Job-Status", "canceling"), ""}, gitlab.PatchResult{Outcome: gitlab.PatchAccepted, Size: 1520, Status: gitlab.StatusCanceling}},
		"accepted but canceled":       {reply{202, head("Job-Status", "canceled"), ""}, gitlab.PatchResult{Outcome: gitlab.PatchJobGone, Status: gitlab.StatusCanceled}},
		"accepted but failed":         {reply{202, head("Job-Status", "failed"), ""}, gitlab.PatchResult{Outcome: gitlab.PatchJobGone, Status: gitlab.StatusFailed}},
		"rewind":                      {reply{416, head("Range", "0-900"), ""}, gitlab.PatchResult{Outcome: gitlab.PatchRewind, Size: 900}},
		"go forward":                  {reply{416, head("Range", "0-9000"), ""}, gitlab.PatchResult{Outcome: gitlab.PatchRewind, Size: 9000}},
		"rewind without a range":      {reply{416, nil, ""}, gitlab.PatchResult{Outcome: gitlab.PatchRewind}},
		"rewind to nonsense":          {reply{416, head("Range", "bytes"), ""}, gitlab.PatchResult{Outcome: gitlab.PatchRewind}},
		"rewind below 0":              {reply{416, head("Range", "0--5"), ""}, gitlab.PatchResult{Outcome: gitlab.PatchRewind}},
		"rewind of a canceled job":    {reply{416, head("Range", "0-9", "Job-Status", "canceled"), ""}, gitlab.PatchResult{Outcome: gitlab.PatchJobGone, Status: gitlab.StatusCanceled}},
		"forbidden":                   {reply{403, head("Job-Status", "canceled"), ""}, gitlab.PatchResult{Outcome: gitlab.PatchJobGone, Status: gitlab.StatusCanceled}},
		"forbidden without a status":  {reply{403, nil, ""}, gitlab.PatchResult{Outcome: gitlab.PatchJobGone}},
		"not found is not an abort":   {reply{404, nil, ""}, gitlab.PatchResult{Outcome: gitlab.PatchRefused}},
		"locked":                      {reply{409, nil, ""}, gitlab.PatchResult{Outcome: gitlab.PatchRetry}},
		"without range":               {reply{400, nil, ""}, gitlab.PatchResult{Outcome: gitlab.PatchRefused}},
		"too many":                    {reply{429, head("Retry-After", "60", every, "5"), ""}, gitlab.PatchResult{Outcome: gitlab.PatchRetry, Interval: time.Minute}},
		"broken":                      {reply{500, nil, ""}, gitlab.PatchResult{Outcome: gitlab.PatchRetry}},
		"broken, and the job is over": {reply{500, head("Job-Status", "failed"), ""}, gitlab.PatchResult{Outcome: gitlab.PatchJobGone, Status: gitlab.StatusFailed}},
		"200 is a proxy's":            {reply{200, nil, "<html>"}, gitlab.PatchResult{Outcome: gitlab.PatchRefused}},
		"too large":                   {reply{413, nil, "<html>"}, gitlab.PatchResult{Outcome: gitlab.PatchTooLarge}},
		"unauthorized":                {reply{401, nil, ""}, gitlab.PatchResult{Outcome: gitlab.PatchRefused}},
		"not allowed":                 {reply{405, nil, ""}, gitlab.PatchResult{Outcome: gitlab.PatchRefused}},
		"length required":             {reply{411, nil, ""}, gitlab.PatchResult{Outcome: gitlab.PatchRefused}},
		"unprocessable":               {reply{422, nil, ""}, gitlab.PatchResult{Outcome: gitlab.PatchRefused}},
		"not implemented":             {reply{501, nil, ""}, gitlab.PatchResult{Outcome: gitlab.PatchRefused}},
		"too slow":                    {reply{408, nil, ""}, gitlab.PatchResult{Outcome: gitlab.PatchRetry}},
		"busy for a day":              {reply{503, head("Retry-After", "86400"), ""}, gitlab.PatchResult{Outcome: gitlab.PatchRetry, Interval: 15 * time.Minute}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := serve(t, tt.reply)
			got := client(t, s.URL, nil).PatchTrace(t.Context(), 1001, jobToken, 100, []byte(strings.Repeat("x", 1420)), false)
			noSecret(t, got.Why)
			if (got.Why != nil) != (got.Outcome == gitlab.PatchRetry || got.Outcome == gitlab.PatchRefused || got.Outcome == gitlab.PatchTooLarge) {
				t.Errorf("why = %v", got.Why)
			}
			got.Why = nil
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			s.only() // the same bytes are sent at the next interval, not before
		})
	}
}

func TestPatchTraceRequest(t *testing.T) {
	s := serve(t, reply{code: 202})
	c := client(t, s.URL, nil)
	c.PatchTrace(t.Context(), 1001, jobToken, 0, []byte(strings.Repeat("x", 1420)), false)
	c.PatchTrace(t.Context(), 1001, jobToken, 1420, []byte("z"), true)
	got := s.seen()
	for i, want := range []struct{ uri, contentRange string }{
		{"/api/v4/jobs/1001/trace?debug_trace=false", "0-1419"},
		{"/api/v4/jobs/1001/trace?debug_trace=true", "1420-1420"},
	} {
		g := got[i]
		if g.Method != http.MethodPatch || g.URI != want.uri || g.Header.Get("Content-Range") != want.contentRange {
			t.Errorf("%s %s %s, want PATCH %s %s", g.Method, g.URI, g.Header.Get("Content-Range"), want.uri, want.contentRange)
		}
		if g.Header.Get("Content-Type") != "text/plain" || g.Header.Get("JOB-TOKEN") != jobToken || g.Header.Get("Content-Length") == "" || g.Header.Get("Accept") == "application/json" {
			t.Errorf("headers = %v", g.Header)
		}
	}
	if len(got[0].Body) != 1420 || string(got[1].Body) != "z" {
		t.Errorf("bodies of %d and %d bytes", len(got[0].Body), len(got[1].Body))
	}
	s.Close()
	if r := c.PatchTrace(t.Context(), 1001, jobToken, 0, []byte("x"), false); r.Outcome != gitlab.PatchRetry || r.Why == nil {
		t.Errorf("without an answer: %+v", r)
	}
}

func TestUpdateJobOutcomes(t *testing.T) {
	const every = "X-GitLab-Trace-Update-Interval"
	type h = map[string]string
	both := func(r gitlab.UpdateResult) [2]gitlab.UpdateResult { return [2]gitlab.UpdateResult{r, r} }
	tests := map[string]struct {
		reply reply
		want  [2]gitlab.UpdateResult // running, final
	}{
		"stored":               {reply{200, h{"Job-Status": "running"}, "200"}, both(gitlab.UpdateResult{Outcome: gitlab.UpdateAccepted, Status: "running"})},
		"canceling":            {reply{200, h{"Job-Status": "canceling"}, "200"}, both(gitlab.UpdateResult{Outcome: gitlab.UpdateAccepted, Status: gitlab.StatusCanceling})},
		"failed":               {reply{200, h{"Job-Status": "failed"}, "200"}, [2]gitlab.UpdateResult{{Outcome: gitlab.UpdateJobGone, Status: gitlab.StatusFailed}, {Outcome: gitlab.UpdateAccepted, Status: gitlab.StatusFailed}}},
		"canceled":             {reply{200, h{"Job-Status": "canceled"}, "200"}, [2]gitlab.UpdateResult{{Outcome: gitlab.UpdateJobGone, Status: gitlab.StatusCanceled}, {Outcome: gitlab.UpdateAccepted, Status: gitlab.StatusCanceled}}},
		"wait":                 {reply{202, h{every: "2"}, "202"}, both(gitlab.UpdateResult{Outcome: gitlab.UpdateWait, Interval: 2 * time.Second})},
		"wait 1/2":             {reply{202, h{every: "1/2"}, "202"}, both(gitlab.UpdateResult{Outcome: gitlab.UpdateWait})},
		"wait, but over":       {reply{202, h{"Job-Status": "canceled"}, "202"}, both(gitlab.UpdateResult{Outcome: gitlab.UpdateJobGone, Status: gitlab.StatusCanceled})},
		"resend":               {reply{412, nil, "412"}, both(gitlab.UpdateResult{Outcome: gitlab.UpdateResend})},
		"forbidden":            {reply{403, asJSON, `{"message":"403 Forbidden - Job is not processing on runner"}`}, both(gitlab.UpdateResult{Outcome: gitlab.UpdateJobGone})},
		"not found":            {reply{404, nil, ""}, both(gitlab.UpdateResult{Outcome: gitlab.UpdateJobGone})},
		"conflict":             {reply{409, nil, ""}, both(gitlab.UpdateResult{Outcome: gitlab.UpdateRefused})},
		"conflict, job over":   {reply{409, h{"Job-Status": "canceled"}, ""}, both(gitlab.UpdateResult{Outcome: gitlab.UpdateJobGone, Status: gitlab.StatusCanceled})},
		"unknown state":        {reply{400, nil, "400"}, both(gitlab.UpdateResult{Outcome: gitlab.UpdateRefused})},
		"too many":             {reply{429, h{"Retry-After": "60"}, ""}, both(gitlab.UpdateResult{Outcome: gitlab.UpdateRetry, Interval: time.Minute})},
		"a proxy's page":       {reply{204, nil, ""}, both(gitlab.UpdateResult{Outcome: gitlab.UpdateRefused})},
		"not implemented":      {reply{501, nil, ""}, both(gitlab.UpdateResult{Outcome: gitlab.UpdateRefused})},
		"broken":               {reply{503, nil, "<html>"}, both(gitlab.UpdateResult{Outcome: gitlab.UpdateRetry})},
		"broken, and job over": {reply{500, h{"Job-Status": "failed"}, ""}, both(gitlab.UpdateResult{Outcome: gitlab.UpdateJobGone, Status: gitlab.StatusFailed})},
	}
	for name, tt := range tests {
		for i, state := range []string{"running", "success"} {
			t.Run(name+" "+state, func(t *testing.T) {
				s := serve(t, tt.reply)
				got := client(t, s.URL, nil).UpdateJob(t.Context(), 1001, jobToken, gitlab.Update{State: state})
				noSecret(t, got.Why)
				if (got.Why != nil) != (got.Outcome == gitlab.UpdateRetry || got.Outcome == gitlab.UpdateRefused) {
					t.Errorf("why = %v", got.Why)
				}
				got.Why = nil
				if diff := cmp.Diff(tt.want[i], got); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
				s.only()
			})
		}
	}
}

func TestUpdateJobBodies(t *testing.T) {
	for name, u := range map[string]gitlab.Update{
		"running": {State: "running"},
		"success": {State: "success", Checksum: "crc32:13439ef5", Size: 1854},
		"failed":  {State: "failed", FailureReason: "script_failure", ExitCode: 42, Checksum: "crc32:00000000", Size: 0},
		"refused": {State: "failed", FailureReason: "runner_system_failure"},
	} {
		s := serve(t, reply{code: 200})
		c := client(t, s.URL, nil)
		c.UpdateJob(t.Context(), 1001, jobToken, u)
		got := s.only()
		if got.Method != http.MethodPut || got.URI != "/api/v4/jobs/1001" || got.Header.Get("JOB-TOKEN") != jobToken || got.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %s %s %v", name, got.Method, got.URI, got.Header)
		}
		golden(t, "update_"+name+".json", got.Body)
		s.Close()
		if r := c.UpdateJob(t.Context(), 1001, jobToken, u); r.Outcome != gitlab.UpdateRetry || r.Why == nil {
			t.Errorf("without an answer: %+v", r)
		}
	}
}

// Table of section 8.3, for an old server that names no reasons and for the
// newest one.
func TestReason(t *testing.T) {
	newest := []string{
		"unknown_failure", "script_failure", "runner_system_failure", "job_execution_timeout",
		"runner_configuration_error", "runner_external_dependency_failure", "runner_interrupted",
	}
	for reason, want := range map[string][2]string{ // old, newest
		"":                         {"script_failure", "script_failure"},
		ledger.ReasonScript:        {"script_failure", "script_failure"},
		ledger.ReasonSystem:        {"runner_system_failure", "runner_system_failure"},
		ledger.ReasonTimeout:       {"job_execution_timeout", "job_execution_timeout"},
		ledger.ReasonConfiguration: {"script_failure", "runner_configuration_error"},
		ledger.ReasonDependency:    {"runner_system_failure", "runner_external_dependency_failure"},
		ledger.ReasonInterrupted:   {"unknown_failure", "runner_interrupted"},
		ledger.ReasonCanceled:      {"unknown_failure", "unknown_failure"},
		"image_pull_failure":       {"runner_system_failure", "runner_system_failure"},
		"made up":                  {"unknown_failure", "unknown_failure"},
	} {
		if got := [2]string{gitlab.Reason(reason, nil), gitlab.Reason(reason, newest)}; got != want {
			t.Errorf("Reason(%q) = %q, want %q", reason, got, want)
		}
	}
}

func TestJobTokenNeverPrintsItself(t *testing.T) {
	token := gitlab.JobToken(jobToken)
	for _, text := range []string{fmt.Sprint(token), fmt.Sprintf("%v %s %+v", token, token, struct{ T gitlab.JobToken }{token}), fmt.Sprintf("%#v", token), fmt.Sprintf("%q", token), token.LogValue().String()} {
		if strings.Contains(text, "jobsecret") {
			t.Errorf("printed: %s", text)
		}
	}
}
