package gate

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"

	"github.com/towline/towline/pkg/grant"
)

// Limits of what is asked about a client that acts as somebody else.
const (
	maxQuestions  = 32 // per identity: user, uid, groups and values of extra fields
	maxKnown      = 64 // identities per session
	knownFor      = 10 * time.Second
	maxReview     = 64 << 10
	reviewTimeout = 10 * time.Second
	reviewPath    = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
)

// impersonations are what the API server has said lately of those whom a session
// wants to act as. The zero value is ready.
type impersonations struct {
	mu    sync.Mutex
	known map[string]permission
}

type permission struct {
	refused *refusal // nil: allowed
	until   time.Time
}

// mayImpersonate asks the API server whether the session's identity may act as
// another. The API server would ask that of whoever sends the request, which is
// the gate, and the gate may act as every job.
func (g *Gate) mayImpersonate(ctx context.Context, s *Session, other grant.Identity) *refusal {
	text, err := json.Marshal(other)
	if err != nil {
		return bad(ruleIdentity, "--as: %v", err)
	}
	key := string(text)
	s.others.mu.Lock()
	p, ok := s.others.known[key]
	s.others.mu.Unlock()
	if ok && time.Now().Before(p.until) {
		return p.refused
	}
	refused, err := g.askImpersonate(ctx, s, other)
	if err != nil {
		return &refusal{http.StatusServiceUnavailable, ruleIdentity, "whether --as is allowed cannot be found out now: " + err.Error(), metav1.StatusReasonServiceUnavailable}
	}
	s.others.mu.Lock()
	defer s.others.mu.Unlock()
	if len(s.others.known) >= maxKnown || s.others.known == nil {
		s.others.known = map[string]permission{}
	}
	s.others.known[key] = permission{refused, time.Now().Add(knownFor)}
	return refused
}

func (g *Gate) askImpersonate(ctx context.Context, s *Session, other grant.Identity) (*refusal, error) {
	questions := impersonateQuestions(other)
	if len(questions) > maxQuestions {
		return bad(ruleIdentity, "--as: %d groups and other values are over the limit of %d", len(questions), maxQuestions), nil
	}
	ctx, cancel := context.WithTimeout(ctx, reviewTimeout)
	defer cancel()
	for _, q := range questions {
		allowed, err := g.review(ctx, s, q)
		if err != nil {
			return nil, err
		}
		if !allowed {
			what := strings.TrimSuffix(q.Resource+"/"+q.Subresource, "/")
			return forbid(ruleIdentity, "%s cannot impersonate %s %q; RBAC can allow it the verb impersonate", s.claims.Identity.User, what, q.Name), nil
		}
	}
	return nil, nil
}

// impersonateQuestions are the rights that the API server looks for.
func impersonateQuestions(other grant.Identity) []authorizationv1.ResourceAttributes {
	ask := func(group, resource, subresource, namespace, name string) authorizationv1.ResourceAttributes {
		return authorizationv1.ResourceAttributes{Verb: "impersonate", Group: group, Resource: resource, Subresource: subresource, Namespace: namespace, Name: name}
	}
	const authentication = "authentication.k8s.io"
	var out []authorizationv1.ResourceAttributes
	if namespace, name, err := serviceaccount.SplitUsername(other.User); err == nil {
		out = append(out, ask("", "serviceaccounts", "", namespace, name))
	} else {
		out = append(out, ask("", "users", "", "", other.User))
	}
	if other.UID != "" {
		out = append(out, ask(authentication, "uids", "", "", other.UID))
	}
	for _, g := range other.Groups {
		out = append(out, ask("", "groups", "", "", g))
	}
	for _, key := range slices.Sorted(maps.Keys(other.Extra)) {
		for _, value := range other.Extra[key] {
			out = append(out, ask(authentication, "userextras", key, "", value))
		}
	}
	return out
}

// review asks the API server about the session's own identity.
func (g *Gate) review(ctx context.Context, s *Session, q authorizationv1.ResourceAttributes) (bool, error) {
	body, err := json.Marshal(authorizationv1.SelfSubjectAccessReview{
		TypeMeta: metav1.TypeMeta{Kind: "SelfSubjectAccessReview", APIVersion: "authorization.k8s.io/v1"},
		Spec:     authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &q},
	})
	if err != nil {
		return false, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, g.upstream.JoinPath(reviewPath).String(), bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	r.Header = s.stamp.Clone()
	r.Header.Set("Content-Type", "application/json")
	resp, err := g.normal.RoundTrip(r)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	var answer authorizationv1.SelfSubjectAccessReview
	if resp.StatusCode != http.StatusCreated {
		return false, fmt.Errorf("the Kubernetes API answers %s", resp.Status)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxReview)).Decode(&answer); err != nil {
		return false, err
	}
	return answer.Status.Allowed, nil
}
