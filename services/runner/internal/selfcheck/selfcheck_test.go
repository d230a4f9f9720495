package selfcheck_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	authentication "k8s.io/api/authentication/v1"
	"k8s.io/client-go/rest"

	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/ledger/redistest"
	"github.com/towline/towline/pkg/policyapi"
	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/services/runner/internal/selfcheck"
)

// serve answers paths with bodies; what is missing is 404.
func serve(t *testing.T, bodies map[string]any) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, ok := bodies[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		if raw, ok := body.([]byte); ok {
			_, _ = w.Write(raw)
			return
		}
		_ = json.NewEncoder(w).Encode(body)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func jwks(t *testing.T) []byte {
	t.Helper()
	public, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := grant.MarshalJWKS(public)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func links(state ...string) service.Report {
	r := service.Report{Ready: true, Links: map[string]string{}}
	for i := 0; i < len(state); i += 2 {
		r.Links[state[i]] = state[i+1]
	}
	return r
}

// proxy answers every connection with one status line.
func proxy(t *testing.T, status string) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.ReadFull(c, make([]byte, 8))
			_, _ = io.WriteString(c, "HTTP/1.1 "+status+"\r\nContent-Length: 0\r\n\r\n")
			_ = c.Close()
		}
	}()
	return l.Addr().String()
}

func TestWhatTheServicesSay(t *testing.T) {
	good := serve(t, map[string]any{"/readyz": links("redis", "up", "policy", "up", "gitlab", "up; with a remark"), policyapi.PathJWKS: jwks(t)})
	bad := serve(t, map[string]any{"/readyz": links("redis", "redis does not answer", "gitlab", "GitLab refuses the runner token"), policyapi.PathJWKS: []byte(`{"keys":[]}`)})
	other := serve(t, map[string]any{"/readyz": []byte("hello")})
	noKeys := serve(t, map[string]any{"/readyz": links("kubernetes", "up"), policyapi.PathJWKS: []byte(`{"keys":[]}`)})
	const nowhere = "http://127.0.0.1:1"
	c, dial := http.DefaultClient, (&net.Dialer{}).DialContext
	for name, tt := range map[string]struct {
		check      selfcheck.Check
		seen, want string
	}{
		"policy":                     {selfcheck.Policy(c, good), "1 keys for grants", ""},
		"policy is not ready":        {selfcheck.Policy(c, bad), "", "redis does not answer"},
		"policy has no keys":         {selfcheck.Policy(c, noKeys), "", "no key that verifies grants"},
		"tunnel":                     {selfcheck.Tunnel(c, good), "up: policy, redis", ""},
		"tunnel has links down":      {selfcheck.Tunnel(c, bad), "", "redis: redis does not answer"},
		"tunnel is something else":   {selfcheck.Tunnel(c, other), "", "is something else"},
		"tunnel is away":             {selfcheck.Tunnel(c, nowhere), "", "check its pods and the NetworkPolicies"},
		"gitlab":                     {selfcheck.GitLab(c, good), "accepted", ""},
		"gitlab refuses":             {selfcheck.GitLab(c, bad), "", "refuses the runner token"},
		"gitlab behind nobody":       {selfcheck.GitLab(c, nowhere), "", "the tunnel does not answer"},
		"egress":                     {selfcheck.Egress(dial, proxy(t, "407 Proxy Authentication Required")), "nobody without a grant", ""},
		"egress lets everybody pass": {selfcheck.Egress(dial, proxy(t, "200 OK")), "", "has to refuse"},
		"egress is away":             {selfcheck.Egress(dial, "127.0.0.1:1"), "", "NetworkPolicies"},
	} {
		seen, err := tt.check.Look(t.Context())
		if tt.want == "" && (err != nil || !strings.Contains(seen, tt.seen)) {
			t.Errorf("%s: %q, %v", name, seen, err)
		}
		if tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

func TestRedis(t *testing.T) {
	s := redistest.New(t)
	rdb, err := ledger.Open(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer rdb.Close()
	l := ledger.New(rdb, redistest.Prefix(t))
	check := selfcheck.Redis(l)
	if seen, err := check.Look(t.Context()); err != nil || !strings.Contains(seen, "no free runner") {
		t.Errorf("%q, %v", seen, err)
	}
	if err := l.Offer(t.Context(), "r/0", time.Minute); err != nil {
		t.Fatal(err)
	}
	if seen, err := check.Look(t.Context()); err != nil || seen != "1 free places for jobs" {
		t.Errorf("%q, %v", seen, err)
	}
}

// api answers as the Kubernetes API would, with who it takes the caller for.
func api(t *testing.T, code int, user string, groups ...string) *rest.Config {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Impersonate-User") == "" {
			t.Errorf("the gate stamps no identity on %s %s", r.Method, r.URL)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		if code != http.StatusCreated {
			_, _ = io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403}`)
			return
		}
		review := authentication.SelfSubjectReview{Status: authentication.SelfSubjectReviewStatus{UserInfo: authentication.UserInfo{Username: user, Groups: groups}}}
		review.Kind, review.APIVersion = "SelfSubjectReview", "authentication.k8s.io/v1"
		_ = json.NewEncoder(w).Encode(review)
	}))
	t.Cleanup(s.Close)
	return &rest.Config{Host: s.URL}
}

func TestGate(t *testing.T) {
	job := selfcheck.JobIdentity()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if seen, err := selfcheck.Gate(api(t, 201, job.User, append(job.Groups, "system:authenticated")...), job).Look(ctx); err != nil || !strings.Contains(seen, job.User) {
		t.Errorf("%q, %v", seen, err)
	}
	if _, err := selfcheck.Gate(api(t, 201, "system:serviceaccount:towline:towline-runner"), job).Look(ctx); err == nil || !strings.Contains(err.Error(), "takes gitlab:ci_job:0 for system:serviceaccount") {
		t.Errorf("another identity: %v", err)
	}
	if _, err := selfcheck.Gate(api(t, 403, ""), job).Look(ctx); err == nil || !strings.Contains(err.Error(), "may not act as gitlab:ci_job:0") {
		t.Errorf("no right to impersonate: %v", err)
	}
	if _, err := selfcheck.Gate(&rest.Config{Host: "http://127.0.0.1:1"}, job).Look(ctx); err == nil {
		t.Error("no API server, and all is well")
	}
}

func TestTheTableSaysWhatFailedAndWaitsForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		var late int
		var out bytes.Buffer
		err := selfcheck.Run(ctx, []selfcheck.Check{
			{"first", func(context.Context) (string, error) {
				if late++; late < 3 {
					return "", errors.New("not yet")
				}
				return "there", nil
			}},
			{"second", func(context.Context) (string, error) { return "", errors.New("broken: repair it") }},
		}, &out)
		if !errors.Is(err, selfcheck.ErrFailed) || out.String() != "ok      first   there\nFAILED  second  broken: repair it\n" {
			t.Errorf("%v\n%s", err, out.String())
		}
	})
	if err := selfcheck.Run(t.Context(), nil, io.Discard); err != nil {
		t.Error(err)
	}
}
