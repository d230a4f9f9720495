package gate_test

import (
	"net/http"
	"strings"
	"testing"
)

// TestWhatNoGrantIsFor: a grant without namespaces leaves the rest to RBAC.
func TestWhatNoGrantIsFor(t *testing.T) {
	b := open(t, nil)
	token, _ := b.session()
	for line, rule := range map[string]string{
		"GET /api/v1/nodes/n/proxy/metrics":                                             "proxy",
		"GET /api/v1/nodes/n:10250/proxy/run/kube-system/p/c?cmd=id":                    "proxy",
		"GET /api/v1/proxy/nodes/n":                                                     "proxy",
		"GET /api/v1/proxy/namespaces/a/services/web":                                   "proxy",
		"POST /api/v1/namespaces/a/serviceaccounts/default/token":                       "tokens",
		"PUT /apis/certificates.k8s.io/v1/certificatesigningrequests/c/approval":        "certificates",
		"PATCH /apis/certificates.k8s.io/v1beta1/certificatesigningrequests/c/approval": "certificates",
		"PATCH /apis/certificates.k8s.io/v1/certificatesigningrequests/c/status":        "certificates",
		"GET /api/v1/namespaces/a/pods?watch=0&watch=1":                                 "query",
		"POST /api/v1/namespaces/a/pods?dryRun=All&dryRun=":                             "query",
		"PATCH /api/v1/namespaces/a/pods/p?fieldManager=x&fieldManager=y":               "query",
		"PATCH /api/v1/namespaces/a/pods/p?fieldManager=x;force=true":                   "query",
		"GET /api/v1/namespaces/a/pods?limit=%zz":                                       "query",
	} {
		method, path, _ := strings.Cut(line, " ")
		st := status(t, b.raw(method+" "+path+" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+token+"\r\nContent-Length: 0\r\n\r\n"))
		if !strings.HasSuffix(st.Message, `(gate rule "`+rule+`")`) || !strings.HasPrefix(st.Message, "towline: ") {
			t.Errorf("%s: %q, want rule %s", line, st.Message, rule)
		}
		if b.forwarded() != nil {
			t.Errorf("%s: forwarded", line)
		}
	}
}

func TestOtherProtocolsWhereTheAPIHasThem(t *testing.T) {
	b := open(t, nil)
	token, _ := b.session()
	for _, c := range []struct {
		path, upgrade string
		want          int
	}{
		{"/api/v1/namespaces/a/pods/p/exec", "SPDY/3.1", 200},
		{"/api/v1/namespaces/a/pods/p/attach", "websocket", 200},
		{"/api/v1/namespaces/a/pods/p/portforward", "WebSocket", 200},
		{"/apis/subresources.kubevirt.io/v1/namespaces/a/virtualmachineinstances/v/console", "websocket", 200},
		{"/api", "websocket", 403},
		{"/api/v1/namespaces/a/pods?watch=1", "websocket", 403},
		{"/api/v1/namespaces/a/pods/p", "SPDY/3.1", 403},
		{"/version", "SPDY/3.1", 403},
		{"/api/v1/namespaces/a/pods/p/exec", "h2c", 400},
		{"/api/v1/namespaces/a/pods/p/exec", "websocket, h2c", 400},
		{"/api/v1/namespaces/a/pods/p/exec", "websocket\r\nUpgrade: SPDY/3.1", 400},
	} {
		resp := b.raw("GET " + c.path + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token + "\r\nConnection: Upgrade\r\nUpgrade: " + c.upgrade + "\r\n\r\n")
		got := b.forwarded()
		if resp.StatusCode != c.want || (got != nil) != (c.want == http.StatusOK) {
			t.Errorf("%s, %q: %s, forwarded %v", c.path, c.upgrade, resp.Status, got != nil)
		}
		if got != nil && !strings.EqualFold(got.Header.Get("Upgrade"), c.upgrade) {
			t.Errorf("%s: arrived as %q", c.path, got.Header.Get("Upgrade"))
		}
	}
}
