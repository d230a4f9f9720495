package gate_test

import (
	"net/http"
	"strings"
	"testing"
)

// TestPathsThatCouldBeReadTwoWays sends request lines as they are: clients
// would clean them.
func TestPathsThatCouldBeReadTwoWays(t *testing.T) {
	b := open(t, nil)
	token, _ := b.session(within("a"))
	for _, line := range []string{
		"GET /api/v1/namespaces/a/../b/pods",
		"GET /api/v1/namespaces/a/pods/..",
		"GET /api/v1/namespaces/a/./pods",
		"GET /api/v1/namespaces/a/pods/.",
		"GET /api/v1/namespaces//a/pods",
		"GET //",
		"GET //api/v1/namespaces/a/pods",
		"GET //evil.example/api/v1/namespaces/a/pods",
		"GET /api/v1/namespaces/a/pods//",
		"GET /api/v1/namespaces/a%2fpods",
		"GET /api/v1/namespaces/a%2Fpods",
		"GET /api/v1/namespaces/a/%2e%2e/b/pods",
		"GET /api/v1/namespaces/a/%2E%2E/b/pods",
		"GET /api/v1/namespaces/%61/pods",
		"GET /api/v1/namespaces/a/%252e%252e/b/pods",
		"GET /api/v1/namespaces/a%252fb/pods",
		"GET /api/v1/namespaces/a/pods%00",
		"GET /api/v1/namespaces/a/pods/x%0d%0aImpersonate-User:root",
		"GET /api/v1/namespaces/a/pods%7f",
		`GET /api/v1/namespaces/a\..\b/pods`,
		"GET /api/v1/namespaces/a%5c..%5cb/pods",
		"GET https://evil.example/api/v1/namespaces/a/pods",
		"GET http://evil.example",
		"GET http:api",
		"CONNECT kubernetes.default:443",
		"CONNECT /api",
		"get /api",
		"TRACE /api",
		"PROPFIND /api",
	} {
		t.Run(line, func(t *testing.T) {
			resp := b.raw(line + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token + "\r\n\r\n")
			if resp.StatusCode != http.StatusBadRequest {
				t.Errorf("status = %d, want 400", resp.StatusCode)
			}
			if b.forwarded() != nil {
				t.Error("it was forwarded")
			}
		})
	}
}

func TestTheServersOwnOptionsAreNotForwarded(t *testing.T) {
	b := open(t, nil)
	token, _ := b.session()
	b.raw("OPTIONS * HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token + "\r\n\r\n")
	if b.forwarded() != nil {
		t.Error("it was forwarded")
	}
}

func TestPlainPathsArriveAsTheyAre(t *testing.T) {
	b := open(t, nil)
	token, _ := b.session()
	for _, path := range []string{
		"/", "/api", "/api/", "/apis/apps/v1", "/openapi/v3/apis/apps/v1?hash=1", "/version",
		"/api/v1/namespaces/a/pods?limit=500&continue=x%2Fy",
		"/apis/rbac.authorization.k8s.io/v1/clusterroles/system:controller:job-controller",
		"/api/v1/namespaces/a/services/https:web:443/proxy/index.html?q=%2e%2e%2f",
		"/api/v1/namespaces/a/services/web/proxy/with%20space/",
		"/api/v1/namespaces/a/pods/p/exec?command=sh&command=-c&command=a%3Bb",
		"/api/v1/namespaces/a/pods/p/portforward?ports=1&ports=2",
		"/api/v1/namespaces/a/configmaps/a..b",
		"/api/v1/namespaces/a/pods/p/log?tailLines=1",
	} {
		resp := b.raw("GET " + path + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token + "\r\n\r\n")
		got := b.forwarded()
		if resp.StatusCode != http.StatusOK || got == nil {
			t.Errorf("%s: %s", path, resp.Status)
			continue
		}
		if got.RequestURI != path {
			t.Errorf("%s arrived as %s", path, got.RequestURI)
		}
	}
}

func TestTheTextOfARefusalNamesThePath(t *testing.T) {
	b := open(t, nil)
	token, _ := b.session()
	st := status(t, b.raw("GET /api//v1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+token+"\r\n\r\n"))
	if !strings.Contains(st.Message, "/api//v1: only plain paths") {
		t.Errorf("message = %q", st.Message)
	}
	lines := b.log.lines(t, "request refused")
	if len(lines) != 1 || lines[0]["job_id"] != float64(7) {
		t.Errorf("log = %v", lines)
	}
}
