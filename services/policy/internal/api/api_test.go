package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/policyapi"
	"github.com/towline/towline/pkg/rules"
	"github.com/towline/towline/services/policy/internal/callers"
	"github.com/towline/towline/services/policy/internal/configuration"
	"github.com/towline/towline/services/policy/internal/decide"
	"github.com/towline/towline/services/policy/internal/keys"
	"github.com/towline/towline/services/policy/internal/records"
)

const tunnel = "system:serviceaccount:towline:towline-tunnel"

// accounts authenticates from a table of tokens.
type accounts map[string]error

func (a accounts) Authenticate(_ context.Context, token string) (string, error) {
	err, known := a[token]
	if !known {
		return "", callers.ErrUnauthenticated
	}
	return tunnel, err
}

type upLink struct{}

func (upLink) Up()           {}
func (upLink) Remark(string) {}
func (upLink) Down(error)    {}

type fixture struct {
	records *records.Ring
	*httptest.Server
	keys *keys.Keys
	log  *strings.Builder
}

func start(t *testing.T, change func(*API)) *fixture {
	t.Helper()
	k, err := keys.Load("", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{keys: k, log: &strings.Builder{}, records: &records.Ring{}}
	log := slog.New(slog.NewJSONHandler(f.log, nil))
	a := &API{
		Settings: decide.Settings{Agent: grant.Agent{ID: 5, Project: "group/agents", Name: "prod"}, Namespaces: []string{"app"}},
		Callers:  accounts{"tkn": nil, "stranger": callers.ErrForbidden, "away": callers.ErrUnavailable}, Configurations: configuration.New(configuration.Settings{}, upLink{}, prometheus.NewRegistry(), slog.New(slog.DiscardHandler)),
		Rules: (*rules.Watcher)(nil), Signer: k, Records: f.records, Log: log,
	}
	if change != nil {
		change(a)
	}
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	a.Mount(r, prometheus.NewRegistry())
	f.Server = httptest.NewServer(r)
	t.Cleanup(f.Close)
	return f
}

func (f *fixture) client(token string) *policyapi.Client {
	return policyapi.NewClient(f.URL, func() (string, error) { return token, nil }, f.Server.Client())
}

func evidence() policyapi.Evidence {
	return policyapi.Evidence{
		Job: policyapi.EvidenceJob{
			ID: 1001, Name: "author's words", PipelineID: 6, ProjectID: 150, ProjectPath: "group/app", UserID: 7, TimeoutSeconds: 3600, PayloadDigest: grant.Digest([]byte("x")),
		},
		AllowedAgents: &policyapi.AllowedAgents{JobID: 1001, ProjectID: 150, User: policyapi.User{ID: 7, Username: "root"}},
	}
}

func conf(content string) *policyapi.Configuration {
	return &policyapi.Configuration{Source: "group/agents@abc:config.yaml", Revision: agentconfig.Revision([]byte(content)), Content: []byte(content)}
}

const allowing = "ci_access: {projects: [{id: group/app, access_as: {ci_job: {}}}]}"

func TestDecideAllowsAndSigns(t *testing.T) {
	f := start(t, nil)
	before := time.Now()
	d, err := f.client("tkn").Decide(t.Context(), evidence(), conf(allowing))
	if err != nil || !d.Allow {
		t.Fatalf("%+v, %v", d, err)
	}
	v := grant.NewVerifier(grant.NewRemoteKeys(f.URL+policyapi.PathJWKS, f.Server.Client()))
	got, err := v.Verify(t.Context(), d.Grant, grant.AudienceGate)
	if err != nil {
		t.Fatal(err)
	}
	if ends := before.Add(time.Hour + GrantMargin); got.ExpiresAt.Before(ends.Add(-2*time.Second)) || got.ExpiresAt.After(ends.Add(time.Minute)) {
		t.Errorf("expires at %v, want about %v", got.ExpiresAt, ends)
	}
	want := &grant.Claims{
		RegisteredClaims: got.RegisteredClaims,
		Job:              grant.Job{ID: 1001, PipelineID: 6, ProjectID: 150, ProjectPath: "group/app"},
		Identity:         d.Identity, Agent: grant.Agent{ID: 5, Project: "group/agents", Name: "prod"},
		Namespaces: []string{"app"}, DefaultNamespace: "app", PayloadDigest: grant.Digest([]byte("x")),
		Facts:          grant.Facts{JobName: "author's words", User: grant.User{ID: 7, Username: "root"}},
		ConfigRevision: agentconfig.Revision([]byte(allowing)),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	if _, err := v.Verify(t.Context(), d.Grant, grant.AudienceEgress); err != nil {
		t.Error(err)
	}
}

func TestEachDecisionHasOneAuditLine(t *testing.T) {
	f := start(t, nil)
	e := evidence()
	scoped := int64(8)
	e.Job.ScopedUserID = &scoped
	d, err := f.client("tkn").Decide(t.Context(), e, conf(allowing))
	if err != nil {
		t.Fatal(err)
	}
	var line map[string]any
	dec := json.NewDecoder(strings.NewReader(f.log.String()))
	if err := dec.Decode(&line); err != nil {
		t.Fatal(err)
	}
	if dec.More() {
		t.Errorf("more than one line: %s", f.log)
	}
	delete(line, "time")
	want := map[string]any{
		"level": "INFO", "msg": "decision", "job_id": 1001.0, "project": "group/app", "allow": true, "caller": tunnel,
		"rule": `group/agents@abc:config.yaml:1: ci_access.projects[0] (id "group/app")`, "identity_mode": "ci_job", "identity_user": "gitlab:ci_job:1001",
		"reasons": []any{"access_as.ci_job: the job acts as itself, gitlab:ci_job:1001", `group/agents@abc:config.yaml:1: ci_access.projects[0] (id "group/app") lets jobs of group/app in`},
		"user_id": 7.0, "scoped_user_id": 8.0, "pipeline_id": 6.0, "config_revision": agentconfig.Revision([]byte(allowing)),
		"username": "root", "ref_protected": false, "namespaces": []any{"app"}, "default_namespace": "app",
		"notices": []any{"GitLab does not list this agent for the job, as on its free tier for entries with access_as; the configuration decides"},
	}
	if diff := cmp.Diff(want, line); diff != "" {
		t.Errorf("audit line (-want +got):\n%s", diff)
	}
	if got := f.records.Of(1001); len(got) != 1 || !got[0].Allow || got[0].Caller != tunnel {
		t.Errorf("remembered: %+v", got)
	}
	if strings.Contains(f.log.String(), d.Grant) || strings.Contains(f.log.String(), "author's words") {
		t.Errorf("log: %s", f.log)
	}
}

func TestDecideDenies(t *testing.T) {
	f := start(t, nil)
	for name, c := range map[string]*policyapi.Configuration{"no entry": conf("ci_access: {}"), "faulty": conf("bogus: 1"), "none": nil} {
		d, err := f.client("tkn").Decide(t.Context(), evidence(), c)
		if err != nil || d.Allow || d.Grant != "" || len(d.Reasons) == 0 || d.Remedy == "" || d.Rule == "" {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
	}
	if strings.Count(f.log.String(), `"allow":false`) != 3 {
		t.Errorf("log: %s", f.log)
	}
}

func TestCallersAreChecked(t *testing.T) {
	f := start(t, nil)
	for token, want := range map[string]error{
		"unknown": policyapi.ErrUnauthorized, "stranger": policyapi.ErrUnauthorized, "": policyapi.ErrUnauthorized, "away": policyapi.ErrUnavailable,
	} {
		if d, err := f.client(token).Decide(t.Context(), evidence(), nil); d != nil || !errors.Is(err, want) {
			t.Errorf("%q: %+v, %v", token, d, err)
		}
	}
	if d, err := policyapi.NewClient(f.URL, nil, nil).Decide(t.Context(), evidence(), nil); d != nil || !errors.Is(err, policyapi.ErrUnauthorized) {
		t.Errorf("no token: %+v, %v", d, err)
	}
	if strings.Contains(f.log.String(), `"decision"`) {
		t.Errorf("a decision was made: %s", f.log)
	}
}

func TestRequestsAreReadStrictly(t *testing.T) {
	f := start(t, nil)
	for name, tt := range map[string]struct {
		body   string
		status int
		code   policyapi.Code
	}{
		"unknown field":   {`{"job":{"id":1,"project_id":1,"project_path":"a/b","payload_digest":"x"},"allow":true}`, 400, policyapi.CodeBadRequest},
		"rubbish":         {"hello", 400, policyapi.CodeBadRequest},
		"too large":       {`{"environment_name":"` + strings.Repeat("x", policyapi.MaxBody), 413, policyapi.CodeTooLarge},
		"content missing": {`{"job":{"id":1,"project_id":1,"project_path":"a/b","payload_digest":"x"},"configuration":{"source":"s","revision":"` + agentconfig.Revision([]byte("q")) + `"}}`, 409, policyapi.CodeConfigurationNeeded},
	} {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.URL+policyapi.PathDecide, strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer tkn")
			resp, err := f.Server.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			var p policyapi.Problem
			b, _ := io.ReadAll(resp.Body)
			if err := json.Unmarshal(b, &p); err != nil || resp.StatusCode != tt.status || p.Code != tt.code || p.Message == "" {
				t.Errorf("status %d, %s, %v", resp.StatusCode, b, err)
			}
		})
	}
}

// unusable is a local configuration that never was good.
type unusable struct{}

func (unusable) Resolve(*policyapi.Configuration) (decide.Config, error) {
	return decide.Config{}, configuration.ErrUnusable
}

func TestAnUnusableLocalConfigurationIsNoDecision(t *testing.T) {
	f := start(t, func(a *API) { a.Configurations = unusable{} })
	if d, err := f.client("tkn").Decide(t.Context(), evidence(), nil); d != nil || !errors.Is(err, policyapi.ErrUnavailable) {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestWhatCannotBeSignedIsRefused(t *testing.T) {
	f := start(t, nil)
	e := evidence()
	e.Job.PayloadDigest = "md5:1"
	d, err := f.client("tkn").Decide(t.Context(), e, conf(allowing))
	if err != nil || d.Allow || d.Grant != "" || d.Identity.User != "" || !strings.Contains(strings.Join(d.Reasons, "\n"), "cannot be signed") {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestTooManyAtOnce(t *testing.T) {
	release := make(chan struct{})
	f := start(t, func(a *API) { a.Callers = slow(release) })
	answers := make(chan error, maxDeciding+1)
	for range maxDeciding + 1 {
		go func() {
			_, err := f.client("tkn").Decide(t.Context(), evidence(), nil)
			answers <- err
		}()
	}
	if err := <-answers; !errors.Is(err, policyapi.ErrUnavailable) {
		t.Errorf("error %v", err)
	}
	close(release)
	for range maxDeciding {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
}

type slow chan struct{}

func (s slow) Authenticate(context.Context, string) (string, error) {
	<-s
	return tunnel, nil
}

func TestTimeout(t *testing.T) {
	for seconds, want := range map[int64]time.Duration{
		3600: time.Hour, 0: 2 * time.Hour, -5: 2 * time.Hour, 1 << 62: MaxTimeout, int64(MaxTimeout / time.Second): MaxTimeout,
	} {
		if got := timeout(seconds); got != want {
			t.Errorf("%d s: %v, want %v", seconds, got, want)
		}
	}
}

// ruling is the rules of a cluster's owner, or why there are none.
type ruling struct {
	set *rules.Set
	err error
}

func (r ruling) Current() (set *rules.Set, faulty, err error) { return r.set, nil, r.err }

func TestRulesOfTheOwner(t *testing.T) {
	set, err := rules.Parse(rules.File{Name: "rules.yaml", Content: []byte("rules: [{name: closed, deny: user.username == 'root', message: not today}]")})
	if err != nil {
		t.Fatal(err)
	}
	d, err := start(t, func(a *API) { a.Rules = ruling{set: set} }).client("tkn").Decide(t.Context(), evidence(), conf(allowing))
	if err != nil || d.Allow || d.Grant != "" || d.Rule != `rule "closed" (rules.yaml:1)` || !strings.Contains(strings.Join(d.Reasons, "\n"), "refuses: not today") {
		t.Errorf("%+v, %v", d, err)
	}
	_, err = start(t, func(a *API) { a.Rules = ruling{err: rules.ErrUnusable} }).client("tkn").Decide(t.Context(), evidence(), conf(allowing))
	if !errors.Is(err, policyapi.ErrUnavailable) {
		t.Errorf("without usable rules: %v", err)
	}
}
