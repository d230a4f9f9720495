package gate

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"unicode"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/endpoints/request"
)

// The rules of the gate. A refusal names the one it comes from.
const (
	ruleGrant        = "grant"        // the bearer of an open session's grant, and nobody else
	ruleIdentity     = "identity"     // nobody speaks of an identity but the grant
	ruleMethod       = "method"       // methods of the Kubernetes API
	rulePath         = "path"         // paths that can be read in one way
	ruleQuery        = "query"        // queries that can be read in one way
	ruleUpgrade      = "upgrade"      // other protocols where the API has them
	ruleNamespaces   = "namespaces"   // inside the grant's namespaces
	ruleProxy        = "proxy"        // no way to a kubelet, which knows no namespaces
	ruleTokens       = "tokens"       // no credential that outlives the job
	ruleCertificates = "certificates" // and no certificate either
	ruleOwner        = "owner"        // the rules of the cluster's owner
)

type refusal struct {
	code          int
	rule, message string
	reason        metav1.StatusReason
}

func forbid(rule, format string, args ...any) *refusal {
	return &refusal{http.StatusForbidden, rule, fmt.Sprintf(format, args...), metav1.StatusReasonForbidden}
}

func bad(rule, format string, args ...any) *refusal {
	return &refusal{http.StatusBadRequest, rule, fmt.Sprintf(format, args...), metav1.StatusReasonBadRequest}
}

// write answers as the API server does, with a Status object, so that kubectl
// shows the text.
func (f *refusal) write(w http.ResponseWriter) {
	text := "towline: " + f.message
	if f.rule != "" && f.rule != ruleOwner { // the owner's rules name themselves
		text += fmt.Sprintf(" (gate rule %q)", f.rule)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(f.code)
	_ = json.NewEncoder(w).Encode(metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   metav1.StatusFailure, Code: int32(f.code), Reason: f.reason, Message: text,
	})
}

// check decides whether a request may pass. It reads the request line and the
// headers only. What it refuses before it has understood the request comes
// without a RequestInfo.
func (g *Gate) check(s *Session, r *http.Request) (*request.RequestInfo, *refusal) {
	c := s.claims
	other, refused := otherIdentity(c.Identity, r.Header, g.systemNames)
	if refused == nil {
		refused = plain(r)
	}
	if refused != nil {
		return nil, refused
	}
	info, err := g.info.NewRequestInfo(r)
	if err != nil {
		return nil, bad(rulePath, "%s: %v", r.URL.Path, err)
	}
	for _, rule := range []func(*request.RequestInfo) *refusal{alwaysRefused, func(i *request.RequestInfo) *refusal { return inNamespaces(c.Namespaces, i) }} {
		if refused := rule(info); refused != nil {
			return info, refused
		}
	}
	if refused := upgradable(r.Header, info); refused != nil {
		return info, refused
	}
	if g.rules != nil {
		if err := g.rules.Check(r.Context(), c, described(info)); err != nil {
			return info, forbid(ruleOwner, "%v", err)
		}
	}
	if other != nil {
		return info, g.mayImpersonate(r.Context(), s, *other)
	}
	return info, nil
}

// plain refuses request lines that somebody behind the gate could read in
// another way.
func plain(r *http.Request) *refusal {
	switch {
	case !slices.Contains(methods, r.Method):
		return bad(ruleMethod, "%s: the Kubernetes API knows no such method", r.Method)
	case !plainPath(r.URL):
		return bad(rulePath, "%s: only plain paths of the Kubernetes API are forwarded", r.URL.Path)
	case r.URL.RawQuery == "":
		return nil
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return bad(ruleQuery, "the query cannot be read: %v", err)
	}
	for key, values := range query {
		if len(values) > 1 && !slices.Contains(repeatable, key) {
			return bad(ruleQuery, "the query has %q more than once", key)
		}
	}
	return nil
}

// methods are those of the Kubernetes API. CONNECT is not one of them.
var methods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions,
}

// repeatable are the parameters that are lists: the words of a command, and the
// ports to forward.
var repeatable = []string{"command", "ports"}

// plainPath refuses every spelling of a path that two parsers could read
// differently, and the form in which a proxy is asked for another host. A path
// that still holds a percent sign after decoding was encoded twice.
func plainPath(u *url.URL) bool {
	p := u.Path
	if u.Scheme != "" || u.Host != "" || u.Opaque != "" || u.RawPath != "" || !strings.HasPrefix(p, "/") {
		return false
	}
	if strings.ContainsAny(p, `\%`) || strings.ContainsFunc(p, unicode.IsControl) {
		return false
	}
	clean := path.Clean(p)
	return p == clean || p == clean+"/" && clean != "/"
}

// alwaysRefused is what no grant is for, whatever RBAC says.
func alwaysRefused(info *request.RequestInfo) *refusal {
	core := info.IsResourceRequest && info.APIGroup == ""
	switch {
	case info.Verb == "proxy", core && info.Resource == "nodes" && info.Subresource == "proxy":
		return forbid(ruleProxy, "nobody reaches the kubelet of %s %q through the gate: it does what it is told, past RBAC", info.Resource, info.Name)
	case core && info.Resource == "serviceaccounts" && info.Subresource == "token":
		return forbid(ruleTokens, "a job gets no token of a ServiceAccount; it acts as itself, and only while it runs")
	case info.APIGroup == "certificates.k8s.io" && (info.Subresource == "approval" || info.Subresource == "status"):
		return forbid(ruleCertificates, "a job neither approves nor signs certificates")
	}
	return nil
}

// upgradable lets a request change to another protocol where the API offers it:
// for subresources, such as exec and portforward, and as SPDY or WebSocket.
func upgradable(h http.Header, info *request.RequestInfo) *refusal {
	upgrade := h.Get("Upgrade")
	if upgrade == "" {
		return nil
	}
	name, _, _ := strings.Cut(strings.ToLower(upgrade), "/")
	switch {
	case len(h.Values("Upgrade")) > 1, name != "websocket" && name != "spdy":
		return bad(ruleUpgrade, "connections change to SPDY or WebSocket, not to %q", upgrade)
	case !info.IsResourceRequest || info.Subresource == "" || info.Name == "":
		return forbid(ruleUpgrade, "%s is not a place for %s", info.Path, upgrade)
	}
	return nil
}

// inNamespaces keeps a grant that names namespaces inside them. Without names,
// RBAC alone decides. Of what is not namespaced such a grant may read discovery
// and ask about itself.
func inNamespaces(allowed []string, info *request.RequestInfo) *refusal {
	if len(allowed) == 0 {
		return nil
	}
	list := strings.Join(allowed, ", ")
	switch {
	case !info.IsResourceRequest:
		if (info.Verb == "get" || info.Verb == "head") && discovery(info.Path) {
			return nil
		}
		return forbid(ruleNamespaces, "%s %s is not a request inside the namespaces this job may use: %s", info.Verb, info.Path, list)
	case info.Resource == "namespaces" && info.APIGroup == "" && info.Subresource == "" && info.Verb == "get" && slices.Contains(allowed, info.Name):
		return nil
	case info.Namespace != "" && info.Resource != "namespaces":
		if slices.Contains(allowed, info.Namespace) {
			return nil
		}
		return forbid(ruleNamespaces, "namespace %q is not among those this job may use: %s", info.Namespace, list)
	case selfReview(info):
		return nil
	}
	return forbid(ruleNamespaces, "%s of %s is not limited to a namespace; this job may use: %s", info.Verb, info.Resource, list)
}

// discovery says whether a path that names no resource tells only what the API
// is and whether it is well. Others, such as /metrics and /logs, speak of all
// namespaces.
func discovery(p string) bool {
	first, _, _ := strings.Cut(strings.TrimPrefix(p, "/"), "/")
	switch first {
	case "", "api", "apis", "openapi", "version", "healthz", "livez", "readyz":
		return true
	}
	return false
}

func selfReview(info *request.RequestInfo) bool {
	switch info.APIGroup + "/" + info.Resource {
	case "authorization.k8s.io/selfsubjectaccessreviews", "authorization.k8s.io/selfsubjectrulesreviews", "authentication.k8s.io/selfsubjectreviews":
		return info.Verb == "create"
	}
	return false
}
