package policyapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/grant"
)

func evidence() Evidence {
	yes, scoped := true, int64(8)
	return Evidence{
		Job: EvidenceJob{
			ID: 1001, Name: "deploy", PipelineID: 6, ProjectID: 150, ProjectPath: "group/app", UserID: 7, ScopedUserID: &scoped,
			TimeoutSeconds: 3600, Ref: "main", RefType: "branch", RefProtected: &yes, Image: "kubectl:1.34", PayloadDigest: grant.Digest([]byte("x")),
		},
		AllowedAgents: &AllowedAgents{
			JobID: 1001, ProjectID: 150, GroupIDs: []int64{25, 23}, User: User{ID: 7, Username: "root", Roles: []string{"guest"}},
			Environment: &Environment{Slug: "prod", Tier: "production"}, Agents: []AllowedAgent{{ID: 5, ConfigProjectID: 3}},
		},
		EnvironmentName: "prod", IDTokens: []string{"a.b.c"},
		IDTokenKeys: &IDTokenKeys{Issuer: "https://gitlab.example.com", JWKS: json.RawMessage(`{"keys":[]}`)}, RequestedAgent: Requested{"group/agents:prod", FromKubeContext},
		RequestedNamespace: Requested{"app", FromEnvironment},
	}
}

const golden = `{
  "job": {"id": 1001, "name": "deploy", "pipeline_id": 6, "project_id": 150, "project_path": "group/app", "user_id": 7, "scoped_user_id": 8,
    "timeout_seconds": 3600, "ref": "main", "ref_type": "branch", "ref_protected": true, "image": "kubectl:1.34", "payload_digest": "sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"},
  "allowed_agents": {"job_id": 1001, "project_id": 150, "group_ids": [25, 23], "user": {"id": 7, "username": "root", "roles": ["guest"]},
    "environment": {"slug": "prod", "tier": "production"}, "agents": [{"id": 5, "config_project_id": 3}]},
  "environment_name": "prod", "id_tokens": ["a.b.c"],
  "id_token_keys": {"issuer": "https://gitlab.example.com", "jwks": {"keys":[]}}, "requested_agent": {"value": "group/agents:prod", "source": "KUBE_CONTEXT"},
  "requested_namespace": {"value": "app", "source": "environments API"},
  "configuration": {"source": "group/agents@abc:.gitlab/agents/prod/config.yaml", "revision": "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb", "content": "YQ=="}
}`

func conf() *Configuration {
	return &Configuration{
		Source: "group/agents@abc:.gitlab/agents/prod/config.yaml", Revision: agentconfig.Revision([]byte("a")), Content: []byte("a"),
	}
}

// The wire form is a contract with tunnels of other versions.
func TestReadRequestReadsTheGoldenForm(t *testing.T) {
	got, err := ReadRequest(strings.NewReader(golden))
	if err != nil {
		t.Fatal(err)
	}
	want := &DecideRequest{Evidence: evidence(), Configuration: conf()}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
	b, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var a, c any
	_ = json.Unmarshal(b, &a)
	_ = json.Unmarshal([]byte(golden), &c)
	if diff := cmp.Diff(c, a); diff != "" {
		t.Errorf("wire form (-want +got):\n%s", diff)
	}
}

func TestReadRequestRefuses(t *testing.T) {
	change := func(old, fresh string) string { return strings.Replace(golden, old, fresh, 1) }
	for name, tt := range map[string]struct{ in, want string }{
		"unknown field": {change(`"environment_name"`, `"environmentname"`), `unknown field "environmentname"`},
		"nested":        {change(`"username"`, `"user_name"`), `unknown field "user_name"`},
		"wrong type":    {change(`"id": 1001`, `"id": "1001"`), "field job.id: want int64"},
		"no job":        {`{}`, "field job.id: is missing"},
		"no project":    {change(`"project_path": "group/app"`, `"project_path": ""`), "project_path"},
		"no digest":     {change("sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881", ""), "payload_digest"},
		"two values":    {golden + "{}", "not valid JSON"},
		"rubbish":       {"hello", "not valid JSON at byte 1"},
		"empty":         {"", "not valid JSON"},
		"bad revision":  {change("ca97811", "ca97812"), "are not what the revision says"},
		"no revision":   {change(agentconfig.Revision([]byte("a")), "x"), "want a SHA-256"},
		"no source":     {change("group/agents@abc:.gitlab/agents/prod/config.yaml", ""), "configuration.source"},
		"bad towline":   {change(`"content": "YQ=="`, `"content": "YQ==", "towline": "YQ=="`), "configuration.towline: are not what the revision says"},
		"many faults":   {change(`"content": "YQ=="`, `"faults": [`+strings.Repeat(`"x",`, MaxFaults)+`"x"]`), "configuration.faults: has over 20 items"},
		"long fault":    {change(`"content": "YQ=="`, `"faults": ["`+strings.Repeat("x", MaxFault+1)+`"]`), "configuration.faults: an item is over 1000 bytes"},
		"many tokens":   {change(`["a.b.c"]`, `["1","2","3","4","5"]`), "id_tokens: has over 4 items"},
		"a long token":  {change("a.b.c", strings.Repeat("x", MaxIDToken+1)), "id_tokens: an item is over 32768 bytes"},
		"many keys":     {change(`{"keys":[]}`, `"`+strings.Repeat("x", MaxJWKS)+`"`), "id_token_keys.jwks: is over 65536 bytes"},
		"too large":     {`{"environment_name":"` + strings.Repeat("x", MaxBody) + `"}`, "over the limit"},
		"large tail":    {golden + strings.Repeat(" ", MaxBody), "over the limit"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ReadRequest(strings.NewReader(tt.in))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestDecideSendsTheContentOnlyWhenAsked(t *testing.T) {
	var got []*DecideRequest
	known := false
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != "/v1/decide" || r.Header.Get("Authorization") != "Bearer tkn" {
			t.Errorf("%s %s %v", r.Method, r.URL, r.Header)
		}
		req, err := ReadRequest(r.Body)
		if err != nil {
			t.Error(err)
		}
		got = append(got, req)
		if !known && len(req.Configuration.Content) == 0 {
			w.WriteHeader(http.StatusConflict)
			_ = json.NewEncoder(w).Encode(Problem{Code: CodeConfigurationNeeded})
			return
		}
		known = true
		_, _ = io.WriteString(w, `{"allow":true,"grant":"g","rule":"r","from_the_future":1}`)
	}))
	defer srv.Close()
	c := NewClient(srv.URL+"/", func() (string, error) { return "tkn", nil }, srv.Client())
	for i, want := range []int{2, 3} {
		d, err := c.Decide(t.Context(), evidence(), conf())
		if err != nil || !d.Allow || d.Grant != "g" {
			t.Fatalf("%+v, %v", d, err)
		}
		if len(got) != want {
			t.Errorf("call %d: %d requests, want %d", i, len(got), want)
		}
	}
	if len(got[0].Configuration.Content) != 0 || string(got[1].Configuration.Content) != "a" || len(got[2].Configuration.Content) != 0 {
		t.Errorf("contents: %v", got)
	}
}

func TestBothFilesTravelAsOneRevision(t *testing.T) {
	f := agentconfig.Files{Name: "g/a@1:config.yaml", Content: []byte("a"), Towline: []byte("b")}
	in := DecideRequest{Evidence: evidence(), Configuration: &Configuration{
		Source: f.Name, Revision: f.Revision(), Content: f.Content, Towline: f.Towline, Faults: []string{"g/a@2:config.yaml:1:1: bogus"},
	}}
	b, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ReadRequest(strings.NewReader(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&in, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(f, got.Configuration.Files()); diff != "" {
		t.Error(diff)
	}
}

func TestDecideErrors(t *testing.T) {
	refused := new(Refused)
	for name, tt := range map[string]struct {
		status int
		body   string
		is     error
		as     bool
	}{
		"500":           {500, "", ErrUnavailable, false},
		"503":           {503, `{"code":"unavailable","message":"configuration is not readable"}`, ErrUnavailable, false},
		"429":           {429, "", ErrUnavailable, false},
		"401":           {401, `{"code":"unauthenticated","message":"no token"}`, ErrUnauthorized, false},
		"403":           {403, "<html>", ErrUnauthorized, false},
		"400":           {400, `{"code":"bad_request","message":"field job.id"}`, nil, true},
		"redirect":      {302, "", nil, true},
		"endless 409":   {409, `{"code":"configuration_needed"}`, ErrUnavailable, false},
		"another 409":   {409, `{}`, nil, true},
		"no JSON":       {200, "<html>", ErrUnavailable, false},
		"no grant":      {200, `{"allow":true}`, ErrUnavailable, false},
		"endless":       {200, strings.Repeat(" ", MaxBody+10), ErrUnavailable, false},
		"large problem": {500, strings.Repeat("x", MaxBody+10), ErrUnavailable, false},
	} {
		t.Run(name, func(t *testing.T) {
			calls := 0
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				calls++
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			}))
			defer srv.Close()
			d, err := NewClient(srv.URL, nil, srv.Client()).Decide(t.Context(), evidence(), conf())
			if d != nil || err == nil || tt.is != nil && !errors.Is(err, tt.is) || errors.As(err, &refused) != tt.as {
				t.Errorf("%+v, %v", d, err)
			}
			if calls > 2 {
				t.Errorf("%d calls", calls)
			}
		})
	}
}

func TestDecideWithoutPolicyOrToken(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	srv.Close()
	if _, err := NewClient(srv.URL, nil, nil).Decide(t.Context(), evidence(), nil); !errors.Is(err, ErrUnavailable) {
		t.Errorf("policy is away: %v", err)
	}
	noToken := func() (string, error) { return "", errors.New("no such file") }
	if _, err := NewClient(srv.URL, noToken, nil).Decide(t.Context(), evidence(), nil); !errors.Is(err, ErrUnauthorized) {
		t.Errorf("no token: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := NewClient(srv.URL, nil, nil).Decide(ctx, evidence(), nil); !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnavailable) {
		t.Errorf("cancelled: %v", err)
	}
}

func FuzzReadRequest(f *testing.F) {
	f.Add([]byte(golden))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		req, err := ReadRequest(strings.NewReader(string(in)))
		if err == nil && (req.Job.ID <= 0 || req.Job.ProjectPath == "") {
			t.Fatalf("accepted %+v", req)
		}
	})
}
