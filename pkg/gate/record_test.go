package gate_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/towline/towline/pkg/eventually"
	"github.com/towline/towline/pkg/gate"
	"github.com/towline/towline/pkg/grant"
)

// keeper is a gate.Audit.
type keeper struct {
	mu   sync.Mutex
	kept []gate.Record
}

func (k *keeper) Record(r gate.Record) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.kept = append(k.kept, r)
}

func (k *keeper) len() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.kept)
}

// TestRecords: whatever may change something has one, also when it was refused.
func TestRecords(t *testing.T) {
	k := &keeper{}
	b := open(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Audit-Id", "of-"+r.Method)
		if strings.HasSuffix(r.URL.Path, "/missing") {
			w.WriteHeader(http.StatusNotFound)
		}
	})
	b.rebuild(func(c *gate.Config) { c.Audit = k })
	began := time.Now()
	token, s := b.session(within("a"))
	long := strings.Repeat("x", 3000)
	for _, line := range []string{
		"GET /api/v1/namespaces/a/pods", "GET /api/v1/namespaces/c/pods", "GET /api/v1/namespaces//pods",
		"POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
		"PATCH /apis/apps/v1/namespaces/a/deployments/d/scale?fieldManager=x", "DELETE /api/v1/namespaces/a/pods/missing",
		"DELETE /api/v1/namespaces/c/pods/p", "DELETE /api/v1/namespaces/a/../c/pods/p", "POST /api/v1/namespaces/a/serviceaccounts/x/token",
		"DELETE /api/v1/namespaces/a/pods/" + long,
	} {
		method, path, _ := strings.Cut(line, " ")
		before := k.len()
		_ = b.raw(method + " " + path + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token + "\r\nContent-Length: 0\r\n\r\n")
		if method != http.MethodGet && !strings.Contains(line, "selfsubject") {
			eventually.Is(t, "the record of "+line[:20], func() bool { return k.len() > before })
		}
	}
	job := gate.Record{
		JobID: 7, PipelineID: 3, Project: "group/app", Agent: "group/conf:prod", Grant: s.Claims().ID, Mode: grant.ModeCIJob, User: "gitlab:ci_job:7",
	}
	with := func(change func(*gate.Record)) gate.Record {
		r := job
		change(&r)
		return r
	}
	want := []gate.Record{
		with(func(r *gate.Record) {
			r.Verb, r.Group, r.Resource, r.Subresource, r.Namespace, r.Name = "patch", "apps", "deployments", "scale", "a", "d"
			r.Path, r.Code, r.AuditID = "/apis/apps/v1/namespaces/a/deployments/d/scale", 200, "of-PATCH"
		}),
		with(func(r *gate.Record) {
			r.Verb, r.Resource, r.Namespace, r.Name, r.Path, r.Code, r.AuditID = "delete", "pods", "a", "missing", "/api/v1/namespaces/a/pods/missing", 404, "of-DELETE"
		}),
		with(func(r *gate.Record) {
			r.Verb, r.Resource, r.Namespace, r.Name, r.Path, r.Code, r.Rule = "delete", "pods", "c", "p", "/api/v1/namespaces/c/pods/p", 403, "namespaces"
		}),
		with(func(r *gate.Record) {
			r.Verb, r.Path, r.Code, r.Rule = "delete", "/api/v1/namespaces/a/../c/pods/p", 400, "path"
		}),
		with(func(r *gate.Record) {
			r.Verb, r.Resource, r.Subresource, r.Namespace, r.Name = "create", "serviceaccounts", "token", "a", "x"
			r.Path, r.Code, r.Rule = "/api/v1/namespaces/a/serviceaccounts/x/token", 403, "tokens"
		}),
		with(func(r *gate.Record) {
			r.Verb, r.Resource, r.Namespace, r.Name, r.Code, r.AuditID = "delete", "pods", "a", long[:1024], 200, "of-DELETE"
			r.Path = ("/api/v1/namespaces/a/pods/" + long)[:1024]
		}),
	}
	if diff := cmp.Diff(want, k.kept, cmpopts.IgnoreFields(gate.Record{}, "Time", "TookMS")); diff != "" {
		t.Error(diff)
	}
	for _, r := range k.kept {
		if r.Time.Before(began) || time.Since(r.Time) < 0 || r.TookMS < 0 {
			t.Errorf("time %v, took %d ms", r.Time, r.TookMS)
		}
	}
}
