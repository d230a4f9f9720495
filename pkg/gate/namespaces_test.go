package gate_test

import (
	"net/http"
	"strings"
	"testing"
)

// inside and outside are requests with a grant for the namespaces a and b.
var inside = []string{
	"GET /api/v1/namespaces/a/pods",
	"GET /api/v1/namespaces/b/pods",
	"GET /api/v1/namespaces/a/pods?watch=true",
	"GET /api/v1/namespaces/a/pods/p",
	"HEAD /api/v1/namespaces/a/pods/p",
	"POST /api/v1/namespaces/a/pods",
	"PATCH /apis/apps/v1/namespaces/a/deployments/d?fieldManager=x",
	"PUT /apis/apps/v1/namespaces/b/deployments/d/scale",
	"PUT /api/v1/namespaces/a/pods/p/status",
	"DELETE /api/v1/namespaces/a/pods/p",
	"DELETE /api/v1/namespaces/a/pods",
	"GET /api/v1/namespaces/a/pods/p/log?follow=true",
	"GET /api/v1/namespaces/a/pods/p/exec?command=ls",
	"POST /api/v1/namespaces/a/pods/p/portforward",
	"POST /api/v1/namespaces/a/pods/p/eviction",
	"GET /api/v1/namespaces/a/services/s/proxy/deep/path/namespaces/c/pods",
	"GET /api/v1/watch/namespaces/a/pods",
	"GET /api/v1/watch/namespaces/a/pods/p",
	"POST /apis/authorization.k8s.io/v1/namespaces/a/localsubjectaccessreviews",
	"GET /apis/example.com/v1/namespaces/a/widgets/w",
	// The namespace itself may be looked at.
	"GET /api/v1/namespaces/a",
	"HEAD /api/v1/namespaces/b",
	"GET /api/v1/namespaces/a/",
	// What anybody may ask about himself.
	"POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
	"POST /apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
	"POST /apis/authentication.k8s.io/v1/selfsubjectreviews",
	// Discovery.
	"GET /", "GET /api", "GET /api/", "GET /api/v1", "GET /apis", "GET /apis/apps", "GET /apis/apps/v1", "HEAD /apis/apps/v1",
	"GET /openapi/v2", "GET /openapi/v3", "GET /openapi/v3/apis/apps/v1", "GET /version", "GET /version/",
	"GET /healthz", "GET /livez", "GET /readyz", "GET /readyz/etcd",
}

var outside = []string{
	"GET /api/v1/namespaces/c/pods",
	"GET /api/v1/namespaces/aa/pods",
	"GET /api/v1/namespaces/A/pods",
	"GET /api/v1/namespaces/a%20/pods",
	"POST /api/v1/namespaces/c/pods",
	"DELETE /api/v1/namespaces/c/pods",
	"GET /api/v1/namespaces/c/pods/p/exec",
	"GET /api/v1/namespaces/c/services/s/proxy/",
	"GET /api/v1/watch/namespaces/c/pods",
	// All namespaces at once.
	"GET /api/v1/pods",
	"GET /api/v1/pods?fieldSelector=metadata.namespace%3Da",
	"GET /api/v1/pods?watch=1",
	"GET /api/v1/watch/pods",
	"DELETE /apis/apps/v1/deployments",
	"POST /api/v1/pods",
	// Cluster-scoped.
	"GET /api/v1/nodes",
	"GET /api/v1/nodes/n/status",
	"POST /apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
	"GET /apis/apiextensions.k8s.io/v1/customresourcedefinitions",
	"GET /apis/certificates.k8s.io/v1/certificatesigningrequests/c",
	// Namespaces themselves.
	"GET /api/v1/namespaces",
	"GET /api/v1/namespaces?fieldSelector=metadata.name%3Da",
	"GET /api/v1/watch/namespaces",
	"GET /api/v1/watch/namespaces/a",
	"GET /api/v1/namespaces/c",
	"POST /api/v1/namespaces",
	"PUT /api/v1/namespaces/a",
	"PATCH /api/v1/namespaces/a",
	"DELETE /api/v1/namespaces/a",
	"DELETE /api/v1/namespaces",
	"PUT /api/v1/namespaces/a/finalize",
	"GET /api/v1/namespaces/a/status",
	"PUT /api/v1/namespaces/a/status",
	"GET /apis/example.com/v1/namespaces/a",
	// Questions about others.
	"POST /apis/authorization.k8s.io/v1/subjectaccessreviews",
	"POST /apis/authentication.k8s.io/v1/tokenreviews",
	"GET /apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
	"DELETE /apis/authentication.k8s.io/v1/selfsubjectreviews",
	"POST /apis/example.com/v1/selfsubjectreviews",
	// Nothing of a namespace, and not discovery either.
	"GET /metrics", "GET /metrics/cadvisor", "GET /logs/kube-apiserver.log", "GET /debug/pprof/profile", "GET /configz",
	"POST /api", "POST /", "POST /readyz", "DELETE /apis/apps/v1", "PUT /version", "OPTIONS /api/v1/pods", "OPTIONS /api",
}

func TestAGrantForNamespacesStaysInside(t *testing.T) {
	b := open(t, nil)
	token, _ := b.session(within("a", "b"))
	for _, line := range inside {
		method, path, _ := strings.Cut(line, " ")
		resp := b.do(b.request(method, path, token, nil))
		if resp.StatusCode != http.StatusOK || b.forwarded() == nil {
			t.Errorf("%s: %d, want it forwarded", line, resp.StatusCode)
		}
	}
	for _, line := range outside {
		method, path, _ := strings.Cut(line, " ")
		resp := b.do(b.request(method, path, token, nil))
		if b.forwarded() != nil {
			t.Errorf("%s: forwarded", line)
			continue
		}
		if st := status(t, resp); st.Code != http.StatusForbidden || st.Reason != "Forbidden" || !strings.HasSuffix(st.Message, `: a, b (gate rule "namespaces")`) {
			t.Errorf("%s: Status = %+v", line, st)
		}
	}
}

func TestAGrantWithoutNamespacesLeavesThemToRBAC(t *testing.T) {
	b := open(t, nil)
	token, _ := b.session()
	for _, line := range append(inside, outside...) {
		method, path, _ := strings.Cut(line, " ")
		resp := b.do(b.request(method, path, token, nil))
		if resp.StatusCode != http.StatusOK || b.forwarded() == nil {
			t.Errorf("%s: %d, want it forwarded", line, resp.StatusCode)
		}
	}
}

func TestAWatchOfNothingIsABadRequest(t *testing.T) {
	b := open(t, nil)
	token, _ := b.session(within("a"))
	if resp := b.do(b.request(http.MethodGet, "/api/v1/watch", token, nil)); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("status = %d", resp.StatusCode)
	}
}
