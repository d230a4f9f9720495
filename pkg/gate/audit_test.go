package gate_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/towline/towline/pkg/eventually"
)

func TestOnlyWhatMayChangeSomethingIsInTheAuditLog(t *testing.T) {
	b := open(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete {
			w.WriteHeader(http.StatusNotFound)
		}
	})
	token, _ := b.session()
	for _, line := range []string{
		"GET /api/v1/pods", "GET /api/v1/pods?watch=0", "GET /api/v1/namespaces/a/pods/p", "HEAD /api/v1/namespaces/a/pods/p",
		"GET /api/v1/namespaces/a/pods/p/log", "GET /apis", "HEAD /apis", "OPTIONS /apis", "GET /api/v1/watch/pods",
		"PATCH /apis/apps/v1/namespaces/a/deployments/d/scale",
		"DELETE /api/v1/namespaces/b",
		"DELETE /api/v1/namespaces/a/pods",
		"GET /api/v1/namespaces/a/pods/p/attach",
		"POST /healthz",
	} {
		method, path, _ := strings.Cut(line, " ")
		_ = b.do(b.request(method, path, token, nil)).Body.Close()
	}
	eventually.Is(t, "five lines", func() bool { return len(b.log.lines(t, "kubernetes request")) >= 5 })
	base := map[string]any{"level": "INFO", "msg": "kubernetes request", "job_id": float64(7), "project": "group/app", "user": "gitlab:ci_job:7", "code": float64(200), "audit_id": ""}
	var want []map[string]any
	for _, more := range []map[string]any{
		{"verb": "patch", "group": "apps", "resource": "deployments", "subresource": "scale", "namespace": "a", "name": "d", "path": "/apis/apps/v1/namespaces/a/deployments/d/scale"},
		{"verb": "delete", "group": "", "resource": "namespaces", "subresource": "", "namespace": "b", "name": "b", "path": "/api/v1/namespaces/b", "code": float64(404)},
		{"verb": "deletecollection", "group": "", "resource": "pods", "subresource": "", "namespace": "a", "name": "", "path": "/api/v1/namespaces/a/pods", "code": float64(404)},
		{"verb": "get", "group": "", "resource": "pods", "subresource": "attach", "namespace": "a", "name": "p", "path": "/api/v1/namespaces/a/pods/p/attach"},
		{"verb": "post", "group": "", "resource": "", "subresource": "", "namespace": "", "name": "", "path": "/healthz"},
	} {
		line := map[string]any{}
		for k, v := range base {
			line[k] = v
		}
		for k, v := range more {
			line[k] = v
		}
		want = append(want, line)
	}
	ignore := cmpopts.IgnoreMapEntries(func(k string, _ any) bool { return k == "time" || k == "took_ms" })
	// A line is written when its request is over, which the client does not wait for.
	inAnyOrder := cmpopts.SortSlices(func(a, b map[string]any) bool {
		return fmt.Sprint(a["path"], a["verb"]) < fmt.Sprint(b["path"], b["verb"])
	})
	if diff := cmp.Diff(want, b.log.lines(t, "kubernetes request"), ignore, inAnyOrder); diff != "" {
		t.Error(diff)
	}
	for name, secret := range map[string]string{"the grant": token, "its signature": token[strings.LastIndex(token, "."):], "the gate's own token": ownToken} {
		if strings.Contains(b.log.String(), secret) {
			t.Errorf("%s is in the log", name)
		}
	}
}

// TestAClientThatHangsUpIsInTheAuditLog: the proxy ends such a request with a
// panic, but the object was deleted all the same.
func TestAClientThatHangsUpIsInTheAuditLog(t *testing.T) {
	b := open(t, watcher(nil))
	token, _ := b.session()
	resp := b.do(b.request(http.MethodDelete, "/api/v1/namespaces/a/pods/p", token, nil))
	_ = resp.Body.Close()
	eventually.Is(t, "the line", func() bool { return len(b.log.lines(t, "kubernetes request")) == 1 })
}

func TestABrokenAnswerDoesNotLookComplete(t *testing.T) {
	b := open(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	token, _ := b.session()
	resp := b.do(b.request(http.MethodPost, "/api/v1/namespaces/a/pods", token, nil))
	if body, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("read %q to its end", body)
	}
	eventually.Is(t, "the line", func() bool { return len(b.log.lines(t, "kubernetes request")) == 1 })
}
