package egress

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestClientsShowWhyATunnelIsRefused with Go's own client, which shows only the
// first line of the answer.
func TestClientsShowWhyATunnelIsRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		target string
		spoil  func(*yard)
		want   []string
	}{
		"host":  {"https://evil.example.com/x", func(*yard) {}, []string{"evil.example.com:443", "--egress-hosts"}},
		"grant": {"https://gitlab.example.com/", func(y *yard) { y.token = "x" }, []string{"grant is not accepted"}},
		"down":  {"https://gitlab.example.com/", func(*yard) {}, []string{"gitlab.example.com:443 does not answer", "no such host"}},
	} {
		y := newYard(t, gitlabHost)
		tt.spoil(y)
		client := &http.Client{Transport: &http.Transport{
			Proxy: http.ProxyURL(&url.URL{Scheme: "http", User: url.UserPassword("job", y.token), Host: y.addr}),
		}}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, tt.target, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err == nil {
			_ = resp.Body.Close()
			t.Fatalf("%s: status %s", name, resp.Status)
		}
		for _, want := range tt.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", name, err, want)
			}
		}
	}
}

// TestARefusalIsACompleteAnswer: the body says the same, for clients that show it.
func TestARefusalIsACompleteAnswer(t *testing.T) {
	y := newYard(t)
	resp := y.conn().send("", http.MethodConnect, "evil.example.com:443")
	if body := text(t, resp); resp.StatusCode != http.StatusProxyAuthRequired || resp.Header.Get("Proxy-Authenticate") == "" || !resp.Close ||
		!strings.Contains(body, "no grant was sent") || !strings.Contains(resp.Status, strings.TrimSpace(body)) {
		t.Errorf("%s, %v, %q", resp.Status, resp.Header, body)
	}
}

func TestTheFirstLineIsOneLine(t *testing.T) {
	got := reason("a\r\nX-Injected: é\x00\u2028" + strings.Repeat("b", 2*maxReason))
	if strings.ContainsFunc(got, func(c rune) bool { return c < ' ' || c > '~' }) || len(got) != maxReason || !strings.HasPrefix(got, "a??X-Injected: ???b") {
		t.Errorf("%q", got)
	}
}
