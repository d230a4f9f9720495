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

	"github.com/towline/towline/pkg/grant"
)

type refusal struct {
	code            int
	reason, message string
}

func forbid(format string, args ...any) *refusal {
	return &refusal{http.StatusForbidden, string(metav1.StatusReasonForbidden), fmt.Sprintf(format, args...)}
}

func bad(format string, args ...any) *refusal {
	return &refusal{http.StatusBadRequest, string(metav1.StatusReasonBadRequest), fmt.Sprintf(format, args...)}
}

// check decides whether a request may pass. It reads the request line and the
// headers only.
func (g *Gate) check(c *grant.Claims, r *http.Request) (*request.RequestInfo, *refusal) {
	for name := range r.Header {
		if strings.HasPrefix(http.CanonicalHeaderKey(name), "Impersonate-") {
			return nil, bad("Towline decides as whom a job acts (%s); remove --as, --as-group and --as-uid", c.Identity.User)
		}
	}
	if !slices.Contains(methods, r.Method) {
		return nil, bad("%s: the Kubernetes API knows no such method", r.Method)
	}
	if !plainPath(r.URL) {
		return nil, bad("%s: only plain paths of the Kubernetes API are forwarded", r.URL.Path)
	}
	info, err := g.info.NewRequestInfo(r)
	if err != nil {
		return nil, bad("%s: %v", r.URL.Path, err)
	}
	if refusal := inNamespaces(c.Namespaces, info); refusal != nil || g.rules == nil {
		return info, refusal
	}
	if err := g.rules.Check(r.Context(), c, described(info)); err != nil {
		return info, forbid("%v", err)
	}
	return info, nil
}

// methods are those of the Kubernetes API. CONNECT is not one of them.
var methods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions,
}

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
		return forbid("%s %s is not a request inside the namespaces this job may use: %s", info.Verb, info.Path, list)
	case info.Resource == "namespaces" && info.APIGroup == "" && info.Subresource == "" && info.Verb == "get" && slices.Contains(allowed, info.Name):
		return nil
	case info.Namespace != "" && info.Resource != "namespaces":
		if slices.Contains(allowed, info.Namespace) {
			return nil
		}
		return forbid("namespace %q is not among those this job may use: %s", info.Namespace, list)
	case selfReview(info):
		return nil
	}
	return forbid("%s of %s is not limited to a namespace; this job may use: %s", info.Verb, info.Resource, list)
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

// refuse answers as the API server does, with a Status object, so that kubectl
// shows the text.
func refuse(w http.ResponseWriter, code int, reason, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   metav1.StatusFailure, Code: int32(code), Reason: metav1.StatusReason(reason),
		Message: "towline: " + message,
	})
}
