package gate_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/grant"
)

// identityHeaders are the headers by which the API server learns who asks.
func identityHeaders(h http.Header) map[string][]string {
	out := map[string][]string{}
	for name, values := range h {
		for _, prefix := range []string{"Impersonate-", "X-Remote-", "X-Forwarded-", "X-Real-", "Authorization", "Proxy-", "Cookie", "Forwarded", "Sec-Websocket-Protocol"} {
			if strings.HasPrefix(name, prefix) {
				out[name] = values
			}
		}
	}
	return out
}

var stamped = map[string][]string{
	"Authorization":     {"Bearer " + ownToken},
	"Impersonate-User":  {"gitlab:ci_job:7"},
	"Impersonate-Uid":   {"uid-7"},
	"Impersonate-Group": {"gitlab:ci_job", "gitlab:project:42"},
	"Impersonate-Extra-Agent.gitlab.com%2fci_job_id":      {"7"},
	"Impersonate-Extra-Agent.gitlab.com%2fci_pipeline_id": {"3"},
}

func TestNothingThatAClientSaysOfItselfArrives(t *testing.T) {
	b := open(t, nil)
	token, _ := b.session()
	for _, client := range []*http.Client{b.client, b.h1} {
		r := b.request(http.MethodGet, "/api/v1/pods?limit=5", token, nil)
		for name, value := range map[string]string{
			"Proxy-Authorization": "Basic eA==", "Cookie": "session=1", "Forwarded": "for=1.2.3.4",
			"X-Forwarded-For": "1.2.3.4", "X-Forwarded-Host": "evil", "X-Forwarded-Proto": "http", "X-Forwarded-Uri": "/x", "X-Forwarded-Client-Cert": "x",
			"X-Real-Ip": "1.2.3.4", "Sec-Websocket-Protocol": "v4.channel.k8s.io",
		} {
			r.Header.Set(name, value)
		}
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		got := b.forwarded()
		if got == nil {
			t.Fatalf("not forwarded: %s", resp.Status)
		}
		want := map[string][]string{"Sec-Websocket-Protocol": {"v4.channel.k8s.io"}}
		for k, v := range stamped {
			want[k] = v
		}
		if diff := cmp.Diff(want, identityHeaders(got.Header)); diff != "" {
			t.Error(diff)
		}
		if upstream, _ := url.Parse(b.upstream.URL); got.Host != upstream.Host || got.URL.RawQuery != "limit=5" {
			t.Errorf("forwarded to %s with %q", got.Host, got.URL.RawQuery)
		}
		for name, values := range got.Header {
			if strings.Contains(strings.Join(values, " "), token) {
				t.Errorf("the grant reaches the API server in %s", name)
			}
		}
	}
}

// TestOddlyWrittenHeaders speaks HTTP/1.1 by hand: clients in Go correct the
// casing.
func TestOddlyWrittenHeaders(t *testing.T) {
	b := open(t, nil)
	token, _ := b.session()
	tests := map[string]struct {
		headers string
		want    int
	}{
		"lower case, dropped":            {"cookie: a=b\r\nx-real-ip: 1.1.1.1\r\n", http.StatusOK},
		"wild case, dropped":             {"X-FoRwArDeD-FoR: 1.1.1.1\r\n", http.StatusOK},
		"another proxy's user":           {"x-remote-user: root\r\n", http.StatusBadRequest},
		"another proxy's group":          {"X-ReMoTe-GrOuP: system:masters\r\n", http.StatusBadRequest},
		"a token among the protocols":    {"Sec-WebSocket-Protocol: v4.channel.k8s.io, base64url.bearer.authorization.k8s.io.c2VjcmV0\r\n", http.StatusBadRequest},
		"such a token in wild case":      {"sec-websocket-PROTOCOL: BASE64URL.bearer.authorization.k8s.io.c2VjcmV0\r\n", http.StatusBadRequest},
		"lower case impersonation":       {"impersonate-user: root\r\n", http.StatusBadRequest},
		"wild case impersonation":        {"iMPERSONATE-eXTRA-scopes: all\r\n", http.StatusBadRequest},
		"impersonation without a value":  {"Impersonate-Group:\r\n", http.StatusBadRequest},
		"impersonation named hop-by-hop": {"Connection: Impersonate-User\r\nImpersonate-User: root\r\n", http.StatusBadRequest},
		"a space before the colon":       {"Impersonate-User : root\r\n", http.StatusBadRequest},
		"ours named hop-by-hop":          {"Connection: Authorization\r\n", http.StatusOK},
		"a second authorization":         {"authorization: Bearer x\r\n", http.StatusUnauthorized},
		"a folded line":                  {"X-Other: a\r\n Impersonate-User: root\r\n", http.StatusOK},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			resp := b.raw(fmt.Sprintf("GET /api HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n%s\r\n", token, test.headers))
			if resp.StatusCode != test.want {
				t.Errorf("status = %d, want %d", resp.StatusCode, test.want)
			}
			got := b.forwarded()
			if (got != nil) != (test.want == http.StatusOK) {
				t.Fatalf("forwarded: %v", got)
			}
			if got == nil {
				return
			}
			if diff := cmp.Diff(stamped, identityHeaders(got.Header)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// raw sends bytes over TLS and reads one answer.
func (b *bench) raw(text string) *http.Response {
	b.tb.Helper()
	cfg := b.tls.Clone()
	cfg.NextProtos = []string{"http/1.1"}
	conn, err := (&tls.Dialer{Config: cfg}).DialContext(b.tb.Context(), "tcp", strings.TrimPrefix(b.url, "https://"))
	if err != nil {
		b.tb.Fatal(err)
	}
	b.tb.Cleanup(func() { _ = conn.Close() })
	if _, err := conn.Write([]byte(text)); err != nil {
		b.tb.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		b.tb.Fatal(err)
	}
	return resp
}

func TestTrailersAreNotForwarded(t *testing.T) {
	b := open(t, nil)
	token, _ := b.session()
	resp := b.raw("POST /api/v1/namespaces/a/pods HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token +
		"\r\nTransfer-Encoding: chunked\r\nTrailer: Impersonate-User\r\n\r\n2\r\n{}\r\n0\r\nImpersonate-User: root\r\n\r\n")
	if resp.StatusCode != http.StatusOK {
		t.Errorf("status = %d", resp.StatusCode)
	}
	if got := b.forwarded(); got == nil || len(got.Trailer) != 0 {
		t.Errorf("forwarded %+v", got)
	}
}

func TestAClientThatImpersonatesIsToldWhatToDo(t *testing.T) {
	b := open(t, nil)
	token, _ := b.session()
	r := b.request(http.MethodGet, "/api", token, nil)
	r.Header.Set("Impersonate-User", "system:admin")
	st := status(t, b.do(r))
	want := "towline: Towline decides as whom a job acts (gitlab:ci_job:7); remove --as, --as-group and --as-uid (gate rule \"identity\")"
	if st.Code != http.StatusBadRequest || st.Reason != "BadRequest" || st.Message != want {
		t.Errorf("Status = %+v", st)
	}
}

func TestTheStampedIdentityIsExactlyTheGrants(t *testing.T) {
	tests := map[string]struct {
		identity grant.Identity
		want     map[string][]string
	}{
		"agent": {
			grant.Identity{Mode: grant.ModeAgent, User: "system:serviceaccount:towline:agent"},
			map[string][]string{"Impersonate-User": {"system:serviceaccount:towline:agent"}},
		},
		"impersonate": {
			grant.Identity{
				Mode: grant.ModeImpersonate, User: "deploy bot", UID: "1-2", Groups: []string{"team,a", "ünïcode"},
				Extra: map[string][]string{"a/b%c d": {"1", "2, 3"}},
			},
			map[string][]string{
				"Impersonate-User": {"deploy bot"}, "Impersonate-Uid": {"1-2"}, "Impersonate-Group": {"team,a", "ünïcode"},
				"Impersonate-Extra-A%2fb%25c%20d": {"1", "2, 3"},
			},
		},
		"no more than a user": {
			grant.Identity{Mode: grant.ModeCIJob, User: "gitlab:ci_job:7"},
			map[string][]string{"Impersonate-User": {"gitlab:ci_job:7"}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := open(t, nil)
			token, _ := b.session(func(c *grant.Claims) { c.Identity = test.identity })
			for _, upgrade := range []bool{false, true} { // both ways to the API server
				r := b.request(http.MethodGet, "/api/v1/namespaces/a/pods/p/exec", token, nil)
				if upgrade {
					r.Header.Set("Connection", "Upgrade")
					r.Header.Set("Upgrade", "SPDY/3.1")
				}
				resp, err := b.h1.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				_ = resp.Body.Close()
				test.want["Authorization"] = []string{"Bearer " + ownToken}
				got := b.forwarded()
				if diff := cmp.Diff(test.want, identityHeaders(got.Header)); diff != "" {
					t.Error(diff)
				}
				if upgrade != (got.ProtoMajor == 1) {
					t.Errorf("upgrade %v went over %s", upgrade, got.Proto)
				}
			}
		})
	}
}
