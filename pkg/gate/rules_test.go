package gate_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"

	"github.com/towline/towline/pkg/access"
	"github.com/towline/towline/pkg/gate"
	"github.com/towline/towline/pkg/grant"
)

// rules refuse deletions and remember what they were asked.
type rules struct{ asked []access.Request }

// Check implements gate.Rules.
func (r *rules) Check(_ context.Context, c *grant.Claims, req access.Request) error {
	r.asked = append(r.asked, req)
	if c.Job.ID == 7 && strings.HasPrefix(req.Verb, "delete") {
		return errors.New(`rule "keep": nothing is deleted on Fridays`)
	}
	return nil
}

func TestRulesOfTheOwnerRefuseWithTheirOwnWords(t *testing.T) {
	own := &rules{}
	b := &bench{tb: t, gate: ruled(t, own)}
	token, _ := b.session(within("a"))
	send := func(line string) *http.Response {
		method, path, _ := strings.Cut(line, " ")
		r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		b.gate.ServeHTTP(w, r)
		return w.Result()
	}
	for _, line := range []string{"GET /apis/apps/v1/namespaces/a/deployments/d/scale", "GET /version", "POST /api/v1/namespaces/a/pods", "GET /api/v1/namespaces/a/pods?watch=1"} {
		if resp := send(line); resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", line, resp.Status)
		}
	}
	if st := status(t, send("DELETE /api/v1/namespaces/a/pods")); st.Code != http.StatusForbidden || st.Message != `towline: rule "keep": nothing is deleted on Fridays` {
		t.Errorf("Status = %+v", st)
	}
	if st := status(t, send("GET /api/v1/namespaces/c/pods")); st.Code != http.StatusForbidden {
		t.Errorf("Status = %+v", st)
	}
	want := []access.Request{
		{Verb: "get", APIGroup: "apps", APIVersion: "v1", Resource: "deployments", Subresource: "scale", Namespace: "a", Name: "d", Path: "/apis/apps/v1/namespaces/a/deployments/d/scale"},
		{Verb: "get", Path: "/version"},
		{Verb: "create", APIVersion: "v1", Resource: "pods", Namespace: "a", Path: "/api/v1/namespaces/a/pods"},
		{Verb: "watch", APIVersion: "v1", Resource: "pods", Namespace: "a", Path: "/api/v1/namespaces/a/pods"},
		{Verb: "deletecollection", APIVersion: "v1", Resource: "pods", Namespace: "a", Path: "/api/v1/namespaces/a/pods"},
	}
	if diff := cmp.Diff(want, own.asked); diff != "" {
		t.Error(diff)
	}
}

func ruled(tb testing.TB, r gate.Rules) *gate.Gate {
	tb.Helper()
	upstream := roundTripper(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
	})
	g, err := gate.New(gate.Config{
		API: &rest.Config{Host: "https://192.0.2.1", Transport: upstream}, Verifier: grant.NewVerifier(grant.NewStaticKeys(signer.Public())), Rules: r, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		tb.Fatal(err)
	}
	return g
}
