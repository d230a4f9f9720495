package gitlab_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/jobspec"
	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

const smallJob = `{"id":1001,"token":"` + jobToken + `","job_info":{"project_id":20}}`

func TestRequestJobOutcomes(t *testing.T) {
	tests := map[string]struct {
		reply reply
		want  gitlab.RequestResult // without Job, Payload and Why
		why   string               // part of Why
	}{
		"a job":                        {reply{201, asJSON, smallJob}, gitlab.RequestResult{Outcome: gitlab.JobReceived}, ""},
		"a job with charset":           {reply{201, map[string]string{"Content-Type": "application/json; charset=utf-8"}, smallJob}, gitlab.RequestResult{Outcome: gitlab.JobReceived}, ""},
		"nothing, with a cursor":       {reply{204, map[string]string{"X-GitLab-Last-Update": "5f3c"}, ""}, gitlab.RequestResult{Outcome: gitlab.NoJob, LastUpdate: "5f3c"}, ""},
		"nothing, from Workhorse":      {reply{204, map[string]string{"Gitlab-Ci-Builds-Polling": "yes"}, ""}, gitlab.RequestResult{Outcome: gitlab.NoJob, Held: true}, ""},
		"nothing, polled, with cursor": {reply{204, map[string]string{"Gitlab-Ci-Builds-Polling": "yes", "X-GitLab-Last-Update": "a"}, ""}, gitlab.RequestResult{Outcome: gitlab.NoJob, LastUpdate: "a"}, ""},
		"nothing at all":               {reply{204, nil, ""}, gitlab.RequestResult{Outcome: gitlab.NoJob}, ""},
		"conflict":                     {reply{409, asJSON, `{"message":"409 Conflict"}`}, gitlab.RequestResult{Outcome: gitlab.Conflict}, ""},
		"forbidden":                    {reply{403, asJSON, `{"message":"403 Forbidden"}`}, gitlab.RequestResult{Outcome: gitlab.Rejected}, "403 Forbidden"},
		"orphaned":                     {reply{422, asJSON, `{"message":"Runner is orphaned"}`}, gitlab.RequestResult{Outcome: gitlab.Rejected}, "Runner is orphaned"},
		"too many":                     {reply{429, with(map[string]string{"Retry-After": "60"}), `{"message":"slow down"}`}, gitlab.RequestResult{Outcome: gitlab.Failed, After: time.Minute}, "slow down"},
		"a date is not understood":     {reply{429, map[string]string{"Retry-After": "Fri, 31 Dec 2100 23:59:59 GMT"}, ""}, gitlab.RequestResult{Outcome: gitlab.Failed}, "429 Too Many Requests"},
		"an absurd pause is none":      {reply{429, map[string]string{"Retry-After": "99999999999999999"}, ""}, gitlab.RequestResult{Outcome: gitlab.Failed}, "429"},
		"too large":                    {reply{413, nil, ""}, gitlab.RequestResult{Outcome: gitlab.Failed}, "413"},
		"broken":                       {reply{500, nil, "<html>oops"}, gitlab.RequestResult{Outcome: gitlab.Failed}, "500 Internal Server Error"},
		"unavailable":                  {reply{503, map[string]string{"Retry-After": "1"}, ""}, gitlab.RequestResult{Outcome: gitlab.Failed, After: time.Second}, "503"},
		"field errors":                 {reply{400, asJSON, `{"message":{"token":["is missing"]}}`}, gitlab.RequestResult{Outcome: gitlab.Failed}, "is missing"},
		"an endless message":           {reply{500, asJSON, `{"message":"` + strings.Repeat("ä", 5000) + `"}`}, gitlab.RequestResult{Outcome: gitlab.Failed}, "ää to the request"},
		"a page instead of a job":      {reply{201, map[string]string{"Content-Type": "text/html"}, smallJob}, gitlab.RequestResult{Outcome: gitlab.BadJob}, "without JSON"},
		"a page without a job":         {reply{201, map[string]string{"Content-Type": "text/html"}, "<html>"}, gitlab.RequestResult{Outcome: gitlab.Failed}, "without JSON"},
		"a token in the answer":        {reply{403, asJSON, `{"message":"no runner has ` + runnerToken + `"}`}, gitlab.RequestResult{Outcome: gitlab.Rejected}, "no runner has [redacted]"},
		"200 is no answer":             {reply{200, asJSON, smallJob}, gitlab.RequestResult{Outcome: gitlab.Failed}, "200"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := serve(t, tt.reply)
			got := client(t, s.URL, nil).RequestJob(t.Context(), "")
			s.only() // the caller's own loop asks again
			noSecret(t, got.Why)
			if (tt.why == "") != (got.Why == nil) || tt.why != "" && !strings.Contains(got.Why.Error(), tt.why) {
				t.Errorf("why = %v, want %q", got.Why, tt.why)
			}
			received := got.Outcome == gitlab.JobReceived
			if (got.Job != nil) != (received || got.Outcome == gitlab.BadJob) || received && string(got.Payload) != tt.reply.body || !received && got.Payload != nil {
				t.Errorf("job %v, payload %q", got.Job, got.Payload)
			}
			got.Job, got.Payload, got.Why = nil, nil, nil
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestRequestJobSaysWhatItCannotUse(t *testing.T) {
	big := `{"id":1001,"token":"` + jobToken + `","variables":[{"key":"X","value":"` + strings.Repeat("x", jobspec.MaxPayload) + `"}]}`
	tests := map[string]struct {
		body string
		id   int64 // 0: nothing can be identified
	}{
		"not JSON":             {"oops", 0},
		"cut off":              {smallJob[:len(smallJob)-4], 1001},
		"cut before the id":    {`{"id":10`, 0},
		"without id":           {`{"token":"x"}`, 0},
		"without token":        {`{"id":7}`, 0},
		"of another shape":     {`{"id":1001,"token":"` + jobToken + `","steps":{"a":1}}`, 1001},
		"over the limit":       {big, 1001},
		"and named at the end": {`{"variables":[{"key":"X","value":"` + strings.Repeat("x", jobspec.MaxPayload) + `"}],"token":"` + jobToken + `","id":1001}`, 1001},
		"empty":                {"", 0},
		"null":                 {"null", 0},
		"a list":               {"[]", 0},
		"nonsense in its end":  {smallJob + "x", 1001},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := serve(t, reply{201, asJSON, tt.body})
			got := client(t, s.URL, nil).RequestJob(t.Context(), "")
			if got.Outcome != gitlab.BadJob || got.Why == nil || got.Payload != nil {
				t.Fatalf("result = %+v", got)
			}
			noSecret(t, got.Why)
			switch {
			case tt.id == 0 && got.Job != nil:
				t.Errorf("job = %+v, want none", got.Job)
			case tt.id != 0 && (got.Job == nil || got.Job.ID != tt.id || got.Job.Token != jobToken):
				t.Errorf("job = %+v, want %d with its token", got.Job, tt.id)
			}
		})
	}
}

// A job is assigned with the first byte of the answer: when the connection breaks
// after that, it can still be failed instead of being left to its timeout.
func TestRequestJobThatBreaksOffIsStillKnown(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "100000")
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, smallJob[:len(smallJob)-2])
	}))
	defer srv.Close()
	got := client(t, srv.URL, nil).RequestJob(t.Context(), "")
	if got.Outcome != gitlab.BadJob || got.Job == nil || got.Job.ID != 1001 || got.Job.Token != jobToken {
		t.Errorf("result = %+v", got)
	}
}

func TestRequestJobWithoutAnAnswer(t *testing.T) {
	s := serve(t, reply{code: 204})
	c := client(t, s.URL, nil)
	s.Close()
	got := c.RequestJob(t.Context(), "")
	if got.Outcome != gitlab.Failed || !strings.Contains(got.Why.Error(), "does not answer") {
		t.Errorf("result = %+v", got)
	}
	noSecret(t, got.Why)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := c.RequestJob(ctx, ""); got.Outcome != gitlab.Failed || !errors.Is(got.Why, context.Canceled) {
		t.Errorf("cancelled: %+v", got)
	}
}

func TestRequestJobSendsWhatGitLabExpects(t *testing.T) {
	s := serve(t, reply{code: 204})
	c := client(t, s.URL, nil)
	c.RequestJob(t.Context(), "5f3c")
	got := s.only()
	if got.Method != http.MethodPost || got.URI != "/api/v4/jobs/request" || got.Header.Get("RUNNER-TOKEN") != runnerToken ||
		got.Header.Get("Content-Type") != "application/json" || got.Header.Get("Accept") != "application/json" {
		t.Errorf("request = %s %s %v", got.Method, got.URI, got.Header)
	}
	golden(t, "request.json", got.Body)
	if len(got.Body) > 32<<10 {
		t.Error("the body is over Workhorse's limit")
	}
	c.RequestJob(t.Context(), "")
	if body := s.seen()[1].Body; strings.Contains(string(body), "last_update") {
		t.Errorf("an empty cursor is sent: %s", body)
	}
	if a, b := s.seen()[0].Header.Get("X-Request-Id"), s.seen()[1].Header.Get("X-Request-Id"); a == b {
		t.Error("X-Request-Id is not fresh")
	}
}

// GitLab must hear of the cache exactly when the runners have one: it refuses jobs
// with fallback keys to others.
func TestRequestJobSpeaksOfACacheWhereThereIsOne(t *testing.T) {
	for _, cache := range []bool{false, true} {
		s := serve(t, reply{code: 204})
		c, err := gitlab.New(gitlab.Config{URL: s.URL, Token: func() string { return runnerToken }, Version: "1.2.3", LongPoll: time.Second, Cache: cache})
		if err != nil {
			t.Fatal(err)
		}
		c.RequestJob(t.Context(), "")
		var body struct {
			Info struct{ Features map[string]bool }
		}
		if err := json.Unmarshal(s.only().Body, &body); err != nil {
			t.Fatal(err)
		}
		if f := body.Info.Features; f["cache"] != cache || f["fallback_cache_keys"] != cache || !f["artifacts"] {
			t.Errorf("with cache %t the features are %v", cache, f)
		}
	}
}

func TestVerifyOutcomes(t *testing.T) {
	tests := map[string]struct {
		reply reply
		want  gitlab.VerifyOutcome
		after time.Duration
	}{
		"accepted":                 {reply{200, asJSON, `{"id":7}`}, gitlab.VerifyAccepted, 0},
		"accepted by old servers":  {reply{200, map[string]string{"Content-Type": "text/plain"}, "200"}, gitlab.VerifyAccepted, 0},
		"wrong":                    {reply{403, asJSON, `{"message":"403 Forbidden"}`}, gitlab.VerifyRejected, 0},
		"orphaned":                 {reply{422, asJSON, `{"message":"Runner is orphaned"}`}, gitlab.VerifyRejected, 0},
		"broken":                   {reply{500, nil, ""}, gitlab.VerifyUnknown, 0},
		"migrating":                {reply{429, map[string]string{"Retry-After": "60"}, ""}, gitlab.VerifyUnknown, time.Minute},
		"not GitLab at all":        {reply{404, nil, "nothing here"}, gitlab.VerifyUnknown, 0},
		"an answer with the token": {reply{403, asJSON, `{"message":"` + runnerToken + `"}`}, gitlab.VerifyRejected, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := serve(t, tt.reply)
			got, why := client(t, s.URL, nil).Verify(t.Context())
			if got.Outcome != tt.want || !got.Expires.IsZero() || (why == nil) != (tt.want == gitlab.VerifyAccepted) || gitlab.After(why) != tt.after {
				t.Errorf("outcome %+v, %v, after %s", got, why, gitlab.After(why))
			}
			noSecret(t, why)
			call := s.only()
			if call.Method != http.MethodPost || call.URI != "/api/v4/runners/verify" {
				t.Errorf("request = %s %s", call.Method, call.URI)
			}
		})
	}
}

func TestVerifySaysWhenTheTokenEnds(t *testing.T) {
	for body, want := range map[string]time.Time{
		`{"id":7,"token":"x","token_expires_at":"2026-12-24T18:30:00.000Z"}`:      time.Date(2026, 12, 24, 18, 30, 0, 0, time.UTC),
		`{"id":7,"token":"x","token_expires_at":"2026-12-24T18:30:00.123+02:00"}`: time.Date(2026, 12, 24, 16, 30, 0, 123e6, time.UTC),
		`{"id":7,"token":"x","token_expires_at":null}`:                            {},
		`{"id":7,"token":"x","token_expires_at":"soon"}`:                          {},
		`{"id":7,"token":"x","token_expires_at":[1]}`:                             {},
		`{"id":7`: {},
		`200`:     {},
	} {
		s := serve(t, reply{200, asJSON, body})
		if got, err := client(t, s.URL, nil).Verify(t.Context()); err != nil || got.Outcome != gitlab.VerifyAccepted || !got.Expires.Equal(want) {
			t.Errorf("%s: %+v, %v", body, got, err)
		}
	}
}

func TestVerifySendsInfoFromTheFirstCallOn(t *testing.T) {
	s := serve(t, reply{200, asJSON, `{}`})
	c := client(t, s.URL, nil)
	if _, err := c.Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
	golden(t, "verify.json", s.only().Body)
	s.Close()
	if got, why := c.Verify(t.Context()); got.Outcome != gitlab.VerifyUnknown || !strings.Contains(why.Error(), "--gitlab-url") {
		t.Errorf("without an answer: %+v, %v", got, why)
	}
}

func TestSystemIDIsStableAndWellFormed(t *testing.T) {
	id := func(token string) string {
		c, err := gitlab.New(gitlab.Config{URL: "https://gitlab.example.com", Token: func() string { return token }})
		if err != nil {
			t.Fatal(err)
		}
		return c.SystemID()
	}
	a := id(runnerToken)
	if !regexp.MustCompile(`^r_[0-9a-zA-Z]{12}$`).MatchString(a) {
		t.Errorf("system id %q", a)
	}
	if a != id(runnerToken) || a == id(runnerToken+"x") || strings.Contains(runnerToken, a[2:]) {
		t.Error("want the same for the same token, another for another, and nothing of the token in it")
	}
	// Every release must answer the same, or GitLab sees a new manager.
	want, err := os.ReadFile(filepath.Join("testdata", "system_id"))
	if err != nil || strings.TrimSpace(string(want)) != a {
		t.Errorf("system id = %s, want %s (%v)", a, want, err)
	}
}

func TestTokenIsReadForEachCall(t *testing.T) {
	s := serve(t, reply{code: 204})
	token := "glrt-one"
	c, err := gitlab.New(gitlab.Config{URL: s.URL, Version: "1.2.3", Token: func() string { return token }})
	if err != nil {
		t.Fatal(err)
	}
	before := c.SystemID()
	c.RequestJob(t.Context(), "")
	token = "glrt-two"
	c.RequestJob(t.Context(), "")
	if got := s.seen()[1].Header.Get("RUNNER-TOKEN"); got != "glrt-two" || c.SystemID() != before {
		t.Errorf("token %q, system id %s -> %s", got, before, c.SystemID())
	}
}

func TestAddressOfGitLab(t *testing.T) {
	good := map[string]string{
		"https://gitlab.example.com":          "https://gitlab.example.com",
		"https://gitlab.example.com/":         "https://gitlab.example.com",
		"https://gitlab.example.com/ci":       "https://gitlab.example.com",
		"https://gitlab.example.com/ci/":      "https://gitlab.example.com",
		"https://gitlab.example.com//ci//":    "https://gitlab.example.com",
		"http://10.0.0.1:8080/sub/gitlab":     "http://10.0.0.1:8080/sub/gitlab",
		"http://[::1]:3000/ci":                "http://[::1]:3000",
		"https://gitlab.example.com/circuits": "https://gitlab.example.com/circuits",
	}
	for in, want := range good {
		if got := client(t, in, nil).URL(); got != want {
			t.Errorf("%s becomes %s, want %s", in, got, want)
		}
	}
	for _, in := range []string{"", "gitlab.example.com", "ftp://gitlab", "https://", "https://:443", "https://u:hunter2@gitlab", "://", "https://h?private_token=hunter2", "https://h#x", "https://h\n"} {
		_, err := gitlab.New(gitlab.Config{URL: in, Token: func() string { return "" }})
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: error %v", in, err)
		}
	}
}
