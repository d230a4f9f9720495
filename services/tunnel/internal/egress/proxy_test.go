package egress

import (
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/grant"
)

const gitlabHost = "gitlab.example.com:443"

var allowed = []string{gitlabHost, "plain.example.com:80", "[2001:db8::1]:443", "[2001:db8::2]:80", "10.1.2.3:8443"}

// targets are the ways in which a job may try to reach something.
var targets = map[string]struct {
	method, target string
	headers        []string
	dial           string // "" is refused
}{
	"allowed":                       {"CONNECT", "gitlab.example.com:443", nil, gitlabHost},
	"case does not matter":          {"CONNECT", "GitLab.EXAMPLE.com:443", nil, gitlabHost},
	"another port":                  {"CONNECT", "gitlab.example.com:22", nil, ""},
	"no port":                       {"CONNECT", "gitlab.example.com", nil, ""},
	"empty port":                    {"CONNECT", "gitlab.example.com:", nil, ""},
	"no port, and 80 is allowed":    {"CONNECT", "plain.example.com", nil, ""},
	"empty, and 80 is allowed":      {"CONNECT", "plain.example.com:", nil, ""},
	"port by another name":          {"CONNECT", "gitlab.example.com:https", nil, ""},
	"port with zeros":               {"CONNECT", "gitlab.example.com:0443", nil, ""},
	"port with a sign":              {"CONNECT", "gitlab.example.com:+443", nil, ""},
	"port too large":                {"CONNECT", "gitlab.example.com:65979", nil, ""},
	"another host":                  {"CONNECT", "evil.example.com:443", nil, ""},
	"a name below":                  {"CONNECT", "x.gitlab.example.com:443", nil, ""},
	"a name above":                  {"CONNECT", "example.com:443", nil, ""},
	"a dot at the end":              {"CONNECT", "gitlab.example.com.:443", nil, ""},
	"user in front":                 {"CONNECT", "gitlab.example.com:443@evil.example.com:443", nil, ""},
	"a user is nothing":             {"CONNECT", "evil@gitlab.example.com:443", nil, gitlabHost},
	"Host says another":             {"CONNECT", "evil.example.com:443", []string{"Host: gitlab.example.com:443"}, ""},
	"Host does not matter":          {"CONNECT", "gitlab.example.com:443", []string{"Host: evil.example.com:443"}, gitlabHost},
	"address":                       {"CONNECT", "10.1.2.3:8443", nil, "10.1.2.3:8443"},
	"address as a number":           {"CONNECT", "167838211:8443", nil, ""},
	"loopback":                      {"CONNECT", "127.0.0.1:443", nil, ""},
	"metadata":                      {"CONNECT", "169.254.169.254:80", nil, ""},
	"IPv6":                          {"CONNECT", "[2001:db8::1]:443", nil, "[2001:db8::1]:443"},
	"IPv6 in capitals":              {"CONNECT", "[2001:DB8::1]:443", nil, "[2001:db8::1]:443"},
	"IPv6 with a zone":              {"CONNECT", "[2001:db8::1%25eth0]:443", nil, ""},
	"IPv6 without port":             {"CONNECT", "[2001:db8::1]", nil, ""},
	"plain":                         {"GET", "http://plain.example.com/", nil, "plain.example.com:80"},
	"plain with port":               {"GET", "http://plain.example.com:80/", nil, "plain.example.com:80"},
	"plain with an empty port":      {"GET", "http://plain.example.com:/", nil, "plain.example.com:80"},
	"plain in capitals":             {"GET", "HTTP://PLAIN.example.com/", nil, "plain.example.com:80"},
	"plain IPv6":                    {"GET", "http://[2001:db8::2]/", nil, "[2001:db8::2]:80"},
	"plain to another port":         {"GET", "http://plain.example.com:8080/", nil, ""},
	"plain to a TLS host":           {"GET", "http://gitlab.example.com/", nil, ""},
	"https is for CONNECT":          {"GET", "https://gitlab.example.com/", nil, ""},
	"no host":                       {"GET", "/", []string{"Host: plain.example.com"}, ""},
	"Host of an allowed one":        {"GET", "http://evil.example.com/", []string{"Host: plain.example.com"}, ""},
	"userinfo hides the host":       {"GET", "http://plain.example.com@evil.example.com/", nil, ""},
	"userinfo with a slash":         {"GET", "http://evil.example.com/@plain.example.com/", nil, ""},
	"userinfo of a job":             {"GET", "http://u:p@plain.example.com/", nil, "plain.example.com:80"},
	"encoded host":                  {"GET", "http://plain%2eexample.com/", nil, ""},
	"another scheme":                {"GET", "ftp://plain.example.com/", nil, ""},
	"gopher":                        {"GET", "gopher://plain.example.com:80/", nil, ""},
	"Host differs, forwarded right": {"GET", "http://plain.example.com/", []string{"Host: evil.example.com"}, "plain.example.com:80"},
}

func TestTargets(t *testing.T) {
	for name, tt := range targets {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			y := newYard(t, allowed...)
			for _, a := range allowed {
				y.serve(a, func(w http.ResponseWriter, r *http.Request) {
					if r.Method == http.MethodGet && r.Host != "plain.example.com" && !strings.HasPrefix(strings.ToLower(r.Host), "plain.example.com:") && r.Host != "PLAIN.example.com" && r.Host != "[2001:db8::2]" {
						t.Errorf("target sees Host %q", r.Host)
					}
				})
			}
			resp := y.conn().send(y.token, tt.method, tt.target, tt.headers...)
			want, code := []string(nil), []int{http.StatusForbidden, http.StatusBadRequest}
			if tt.dial != "" {
				want, code = []string{tt.dial}, []int{http.StatusOK, http.StatusOK}
			}
			if got := y.dialed(); !cmp.Equal(want, lower(got)) || resp.StatusCode != code[0] && resp.StatusCode != code[1] {
				t.Errorf("status %d, dialled %v, want %v", resp.StatusCode, got, want)
			}
			if resp.StatusCode == http.StatusForbidden && !strings.Contains(text(t, resp), "--egress-hosts") {
				t.Error("no remedy is named")
			}
		})
	}
}

func lower(in []string) []string {
	var out []string
	for _, s := range in {
		out = append(out, strings.ToLower(s))
	}
	return out
}

func TestGrants(t *testing.T) {
	good := signer(t, "a")
	tests := map[string]struct {
		token string
		setup func(*yard)
		code  int
		text  string
	}{
		"none":                {"", nil, 407, "no grant was sent"},
		"good":                {sign(t, good, nil), nil, 200, ""},
		"nonsense":            {"x.y.z", nil, 407, "not a JWT"},
		"expired":             {sign(t, good, func(c *grant.Claims) { past(c, time.Hour) }), nil, 407, "expired"},
		"expired within skew": {sign(t, good, func(c *grant.Claims) { past(c, time.Second) }), nil, 200, ""},
		"for the gate only":   {sign(t, good, func(c *grant.Claims) { c.Audience = jwt.ClaimStrings{grant.AudienceGate} }), nil, 407, "another audience"},
		"revoked":             {sign(t, good, nil), func(y *yard) { y.Revocations = revoked{"jti-1": true} }, 407, "the job is over"},
		"another is revoked":  {sign(t, good, nil), func(y *yard) { y.Revocations = revoked{"jti-2": true} }, 200, ""},
	}
	for name, tt := range tests {
		for _, method := range []string{"CONNECT", "GET"} {
			t.Run(name+" "+method, func(t *testing.T) {
				t.Parallel()
				y := newYard(t, gitlabHost, "plain.example.com:80")
				for a := range y.Allowed {
					y.serve(a, func(http.ResponseWriter, *http.Request) {})
				}
				if tt.setup != nil {
					tt.setup(y)
				}
				target := map[string]string{"CONNECT": gitlabHost, "GET": "http://plain.example.com/"}[method]
				resp := y.conn().send(tt.token, method, target)
				if resp.StatusCode != tt.code || (len(y.dialed()) > 0) != (tt.code == 200) {
					t.Fatalf("status %d, dialled %v", resp.StatusCode, y.dialed())
				}
				if tt.code == 200 {
					return
				}
				if body := text(t, resp); !strings.Contains(body, tt.text) || tt.token != "" && strings.Contains(body, tt.token) {
					t.Errorf("body %q", body)
				}
				if challenge := resp.Header.Get("Proxy-Authenticate"); (challenge != "") != (tt.code == 407) {
					t.Errorf("challenge %q", challenge)
				}
			})
		}
	}
}

func past(c *grant.Claims, ago time.Duration) {
	c.IssuedAt = jwt.NewNumericDate(time.Now().Add(-2 * time.Hour))
	c.ExpiresAt = jwt.NewNumericDate(time.Now().Add(-ago))
}

func TestOddCredentials(t *testing.T) {
	y := newYard(t, gitlabHost)
	for _, auth := range []string{
		"Bearer " + y.token, "Basic", "Basic " + y.token, "Basic " + base64.StdEncoding.EncodeToString([]byte(y.token)),
		"Digest username=" + y.token,
	} {
		if resp := y.conn().send("", "CONNECT", gitlabHost, "Proxy-Authorization: "+auth); resp.StatusCode != 407 {
			t.Errorf("%.20s...: status %d", auth, resp.StatusCode)
		}
	}
	basic := "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("job:"+y.token))
	if resp := y.conn().send("", "CONNECT", gitlabHost, basic); resp.StatusCode != 407 {
		t.Errorf("the target's Authorization opened the proxy: %d", resp.StatusCode)
	}
}

func TestPlainRequestsAreForwardedAsTheyAre(t *testing.T) {
	y := newYard(t, "plain.example.com:80")
	type got struct {
		Method, URI, Host, Body string
		Header                  http.Header
	}
	var seen got
	y.serve("plain.example.com:80", func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		seen = got{r.Method, r.RequestURI, r.Host, string(b), r.Header.Clone()}
		w.Header().Set("Location", "http://elsewhere.example.com/")
		w.Header().Set("Content-Encoding", "gzip")
		w.WriteHeader(http.StatusFound)
		_, _ = io.WriteString(w, "not really gzip")
	})
	c := y.conn()
	_, err := io.WriteString(c, "") // the connection stands before the request
	if err != nil {
		t.Fatal(err)
	}
	resp := c.send(y.token, "GET", "http://plain.example.com/a%2Fb/../c?x=1;y=%zz&z", "Authorization: Bearer job's own",
		"Proxy-Connection: keep-alive", "Connection: X-Hop", "X-Hop: 1", "X-Forwarded-For: 10.0.0.9", "Keep-Alive: 5")
	body := text(t, resp)
	if resp.StatusCode != http.StatusFound || body != "not really gzip" || resp.Header.Get("Location") == "" {
		t.Errorf("answer %d %q", resp.StatusCode, body)
	}
	want := got{"GET", "/a%2Fb/../c?x=1;y=%zz&z", "plain.example.com", "", http.Header{"Authorization": {"Bearer job's own"}}}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("the target sees (-want +got):\n%s", diff)
	}
	if len(y.dialed()) != 1 {
		t.Error("the redirect was followed")
	}
}

func TestTunnelCarriesBytesAndHalfCloses(t *testing.T) {
	y := newYard(t, gitlabHost)
	y.listen(gitlabHost, func(c *net.TCPConn) {
		b, err := io.ReadAll(c) // until the client is done
		if err != nil {
			t.Error(err)
		}
		_, _ = c.Write(append([]byte("echo "), b...))
	})
	c := y.conn()
	// Bytes that follow the request at once belong to the tunnel.
	if resp := c.send(y.token, "CONNECT", gitlabHost, "X-Client: x"); resp.StatusCode != 200 {
		t.Fatalf("status %d", resp.StatusCode)
	}
	big := strings.Repeat("0123456789abcdef", 1<<16)
	go func() {
		_, _ = io.WriteString(c, big)
		_ = c.CloseWrite()
	}()
	b, err := io.ReadAll(c.r)
	if err != nil || string(b) != "echo "+big {
		t.Errorf("%d bytes came back, %v", len(b), err)
	}
}

func TestTunnelTakesBytesSentWithTheRequest(t *testing.T) {
	y := newYard(t, gitlabHost)
	y.listen(gitlabHost, func(c *net.TCPConn) { _, _ = io.Copy(c, c) })
	c := y.conn()
	head := "CONNECT " + gitlabHost + " HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("job:"+y.token)) + "\r\n\r\n"
	if _, err := io.WriteString(c, head+"early"); err != nil {
		t.Fatal(err)
	}
	want := "HTTP/1.1 200 Connection established\r\n\r\nearly"
	b := make([]byte, len(want))
	if _, err := io.ReadFull(c.r, b); err != nil || string(b) != want {
		t.Errorf("%q, %v", b, err)
	}
}

func TestTunnelEndsWithTheTarget(t *testing.T) {
	y := newYard(t, gitlabHost)
	y.listen(gitlabHost, func(c *net.TCPConn) { _, _ = io.WriteString(c, "bye") })
	c := y.conn()
	if resp := c.send(y.token, "CONNECT", gitlabHost); resp.StatusCode != 200 {
		t.Fatal(resp.Status)
	}
	if b, err := io.ReadAll(c.r); err != nil || string(b) != "bye" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestTargetDown(t *testing.T) {
	y := newYard(t, gitlabHost, "plain.example.com:80")
	for method, target := range map[string]string{"CONNECT": gitlabHost, "GET": "http://plain.example.com/"} {
		resp := y.conn().send(y.token, method, target)
		if body := text(t, resp); resp.StatusCode != http.StatusBadGateway || !strings.Contains(body, "does not answer") {
			t.Errorf("%s: %d %q", method, resp.StatusCode, body)
		}
	}
}
