package app

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	authentication "k8s.io/api/authentication/v1"

	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/outputtest"
	"github.com/towline/towline/pkg/policyapi"
	"github.com/towline/towline/pkg/service"
)

const tunnel = "system:serviceaccount:towline:towline-tunnel"

// kubernetes is an API server that knows TokenReview only and minds every part
// of the request.
func kubernetes(t *testing.T) *httptest.Server {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != "/apis/authentication.k8s.io/v1/tokenreviews" {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		if got := r.Header.Get("Authorization"); got != "Bearer policy-token" {
			t.Errorf("policy's own token is %q", got)
		}
		if got := r.Header.Get("User-Agent"); got != "towline-policy" {
			t.Errorf("user agent %q", got)
		}
		var review authentication.TokenReview
		dec := json.NewDecoder(r.Body)
		dec.DisallowUnknownFields()
		if err := dec.Decode(&review); err != nil {
			t.Error(err)
		}
		if review.Kind != "TokenReview" || review.APIVersion != "authentication.k8s.io/v1" || len(review.Spec.Audiences) != 1 || review.Spec.Audiences[0] != "towline-policy" {
			t.Errorf("review %+v", review)
		}
		if review.Spec.Token == "tunnel-token" {
			review.Status = authentication.TokenReviewStatus{
				Authenticated: true, User: authentication.UserInfo{Username: tunnel}, Audiences: review.Spec.Audiences,
			}
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(review)
	}))
	t.Cleanup(srv.Close)
	return srv
}

func kubeconfig(t *testing.T, url string, ca []byte) string {
	t.Helper()
	doc := map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "c",
		"contexts": []any{map[string]any{"name": "c", "context": map[string]any{"cluster": "k", "user": "u"}}},
		"clusters": []any{map[string]any{"name": "k", "cluster": map[string]any{"server": url, "certificate-authority-data": ca}}},
		"users":    []any{map[string]any{"name": "u", "user": map[string]any{"token": "policy-token"}}},
	}
	b, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return file(t, "kubeconfig", string(b))
}

func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// policy starts the whole service and returns its address and log.
func policy(t *testing.T, args ...string) (string, *outputtest.Buffer) {
	t.Helper()
	out := &outputtest.Buffer{}
	s, err := parse(append([]string{"--agent=group/agents:prod", "--callers=" + tunnel}, args...), func(string) string { return "" }, out)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx, s, l, out) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return "http://" + l.Addr().String(), out
}

// report waits until the readiness report is as ok wants it.
func report(t *testing.T, url string, ok func(service.Report) bool) {
	t.Helper()
	var last service.Report
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		resp, err := http.Get(url + "/readyz")
		if err == nil {
			last = service.Report{}
			err = json.NewDecoder(resp.Body).Decode(&last)
			_ = resp.Body.Close()
			if err == nil && last.Ready == (resp.StatusCode == http.StatusOK) && ok(last) {
				return
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("report stays %+v", last)
}

func ready(r service.Report) bool { return r.Ready }

func TestTheServiceDecides(t *testing.T) {
	k8s := kubernetes(t)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: k8s.Certificate().Raw})
	conf := t.TempDir()
	if err := os.WriteFile(filepath.Join(conf, "config.yaml"), []byte("ci_access: {projects: [{id: group/app, access_as: {ci_job: {}}}]}"), 0o600); err != nil {
		t.Fatal(err)
	}
	url, out := policy(t, "--kubeconfig="+kubeconfig(t, k8s.URL, ca), "--config="+conf, "--agent-id=5", "--namespaces=app")
	report(t, url, ready)
	if !strings.Contains(out.String(), "grants die with this process") {
		t.Errorf("log: %s", out)
	}
	e := policyapi.Evidence{
		Job:           policyapi.EvidenceJob{ID: 9, ProjectID: 150, ProjectPath: "group/app", PayloadDigest: grant.Digest(nil)},
		AllowedAgents: &policyapi.AllowedAgents{JobID: 9, ProjectID: 150},
	}
	ask := func(token string) (*policyapi.Decision, error) {
		return policyapi.NewClient(url, func() (string, error) { return token, nil }, nil).Decide(t.Context(), e, nil)
	}
	if _, err := ask("somebody-else"); !errors.Is(err, policyapi.ErrUnauthorized) {
		t.Errorf("stranger: %v", err)
	}
	d, err := ask("tunnel-token")
	if err != nil || !d.Allow {
		t.Fatalf("%+v, %v", d, err)
	}
	claims, err := grant.NewVerifier(grant.NewRemoteKeys(url+policyapi.PathJWKS, nil)).Verify(t.Context(), d.Grant, grant.AudienceGate)
	if err != nil || claims.Identity.User != "gitlab:ci_job:9" || claims.DefaultNamespace != "app" || claims.Agent.ID != 5 {
		t.Errorf("%+v, %v", claims, err)
	}
	for _, secret := range []string{"tunnel-token", "policy-token", "somebody-else", d.Grant} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("%s is in the log", secret)
		}
	}
}

func TestNoKubernetesAPIIsNoCrash(t *testing.T) {
	k8s := kubernetes(t)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: k8s.Certificate().Raw})
	k8s.Close()
	url, _ := policy(t, "--kubeconfig="+kubeconfig(t, k8s.URL, ca))
	report(t, url, func(r service.Report) bool {
		return !r.Ready && strings.Contains(r.Links["kubernetes"], "cannot be reached") && strings.Contains(r.Links["kubernetes"], "check the NetworkPolicy") &&
			r.Links["configuration"] == "up"
	})
}

func TestAMalformedConfigurationIsNoCrashAndRecovers(t *testing.T) {
	k8s := kubernetes(t)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: k8s.Certificate().Raw})
	conf := file(t, "config.yaml", "ci_access:\n  project: []\n")
	url, out := policy(t, "--kubeconfig="+kubeconfig(t, k8s.URL, ca), "--config="+conf)
	want := conf + `:2:3: ci_access.project: unknown key; did you mean "projects"?`
	report(t, url, func(r service.Report) bool { return !r.Ready && r.Links["configuration"] == want })
	quoted, _ := json.Marshal(want)
	if !strings.Contains(out.String(), string(quoted)) {
		t.Errorf("log: %s", out)
	}
	if err := os.WriteFile(conf, []byte("ci_access: {}"), 0o600); err != nil {
		t.Fatal(err)
	}
	report(t, url, ready)
}

func TestParseReportsEverythingAtOnce(t *testing.T) {
	_, err := parse([]string{"--agent=prod", "--agent-id=-1", "--agent-service-account=x", "--namespaces=A,b", "--callers=tunnel"}, func(string) string { return "" }, io.Discard)
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"--agent=prod: want group/project:name", "--agent-id=-1", "--agent-service-account=x: want namespace/name", "--namespaces=A", "--callers=tunnel: want system:serviceaccount"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in %v", want, err)
		}
	}
	if _, err := parse(nil, func(string) string { return "" }, io.Discard); err == nil || !strings.Contains(err.Error(), "--agent=") || !strings.Contains(err.Error(), "--callers=") {
		t.Errorf("without settings: %v", err)
	}
}

// Every option must arrive, by flag and by environment.
func TestEveryOptionArrives(t *testing.T) {
	values := map[string]string{
		"listen": "127.0.0.1:1", "config": "/c", "config-sources": "repository, local", "agent": "g/a:prod", "agent-id": "7", "agent-service-account": "towline/agent", "namespaces": "a, b",
		"rules": "/r", "signing-key-file": "/k", "tls-cert-file": "/cert", "tls-key-file": "/key", "explain-socket": "@x", "kubeconfig": "/kc", "callers": tunnel, "job-groups": "gitlab:ci_job,x", "log-format": "text", "log-level": "debug",
	}
	b := service.NewSettings("policy", func(string) string { return "" }, io.Discard)
	(&settings{}).bind(b)
	var args []string
	for _, name := range b.Names() {
		if values[name] == "" {
			t.Fatalf("no value for --%s in this test", name)
		}
		args = append(args, fmt.Sprintf("--%s=%s", name, values[name]))
	}
	byFlag, err := parse(args, func(string) string { return "" }, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	byEnv, err := parse(nil, func(env string) string {
		for name, v := range values {
			if service.EnvName(name) == env {
				return v
			}
		}
		return ""
	}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for i, g := range byEnv.given {
		if g.Origin != service.EnvName(g.Name) || byFlag.given[i].Origin != "--"+g.Name {
			t.Errorf("where values come from: %+v, %+v", g, byFlag.given[i])
		}
	}
	byEnv.given = byFlag.given
	if !reflect.DeepEqual(byFlag, byEnv) {
		t.Errorf("flags give %+v, environment %+v", byFlag, byEnv)
	}
	v := reflect.ValueOf(*byFlag)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("%s never arrives", v.Type().Field(i).Name)
		}
	}
	d := reflect.ValueOf(byFlag.decide)
	for i := range d.NumField() {
		if d.Field(i).IsZero() {
			t.Errorf("decide.Settings.%s never arrives", d.Type().Field(i).Name)
		}
	}
}

func TestRunSaysWhatIsMissing(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	base := []string{"--agent=g/a:prod", "--callers=" + tunnel, "--listen=127.0.0.1:0"}
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"no cluster":     {base, "--kubeconfig is empty"},
		"bad kubeconfig": {append(base, "--kubeconfig=/does/not/exist"), "--kubeconfig=/does/not/exist"},
		"bad key":        {append(base, "--signing-key-file=/does/not/exist"), "--signing-key-file=/does/not/exist"},
		"bad address":    {append(base, "--listen=nowhere:99999"), "--listen=nowhere:99999"},
	} {
		err := Run(t.Context(), tt.args, func(string) string { return "" }, io.Discard)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
