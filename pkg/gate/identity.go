package gate

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/towline/towline/pkg/grant"
)

// Headers by which a client speaks of an identity: to the API server, and from a
// proxy in front of it that has authenticated somebody.
const (
	impersonateHeader = "Impersonate-"
	remoteHeader      = "X-Remote-"

	userHeader  = "Impersonate-User"
	uidHeader   = "Impersonate-Uid"
	groupHeader = "Impersonate-Group"
	extraHeader = "Impersonate-Extra-"
)

// protocolHeader lists what a WebSocket client speaks. The API server also takes
// a bearer token from it, as a protocol with tokenProtocol in front.
const (
	protocolHeader = "Sec-Websocket-Protocol"
	tokenProtocol  = "base64url.bearer.authorization.k8s.io."
)

// otherIdentity returns whom a request wants to act as, if it is not its job.
// Only a job with access_as: agent may want that, and nobody may speak of an
// identity in another way.
func otherIdentity(own grant.Identity, h http.Header, systemNames []string) (*grant.Identity, *refusal) {
	for name := range h {
		if strings.HasPrefix(http.CanonicalHeaderKey(name), remoteHeader) {
			return nil, bad(ruleIdentity, "%s: the grant says as whom a job acts (%s), and no header does", name, own.User)
		}
	}
	for _, line := range h[protocolHeader] {
		if strings.Contains(strings.ToLower(line), tokenProtocol) {
			return nil, bad(ruleIdentity, "%s: the grant is sent as Authorization: Bearer, and nothing else beside it", protocolHeader)
		}
	}
	asked := impersonation(h)
	switch {
	case len(asked) == 0:
		return nil, nil
	case own.Mode != grant.ModeAgent:
		return nil, bad(ruleIdentity, "Towline decides as whom a job acts (%s); remove --as, --as-group and --as-uid", own.User)
	}
	other, refused := readImpersonation(asked)
	if refused != nil {
		return nil, refused
	}
	checked := *other
	checked.Groups = slices.DeleteFunc(slices.Clone(other.Groups), func(g string) bool { return slices.Contains(systemNames, g) })
	if slices.Contains(systemNames, other.User) {
		checked.User = "one of the system names"
	}
	if err := checked.Validate(); err != nil {
		return nil, forbid(ruleIdentity, "--as: %v; the cluster's owner can allow names of Kubernetes' own with --system-names", err)
	}
	return other, nil
}

// impersonation are the headers by which a client asks to act as somebody.
func impersonation(h http.Header) http.Header {
	var out http.Header
	for name, values := range h {
		if key := http.CanonicalHeaderKey(name); strings.HasPrefix(key, impersonateHeader) {
			if out == nil {
				out = http.Header{}
			}
			out[key] = append(out[key], values...)
		}
	}
	return out
}

// readImpersonation reads the headers as the API server does.
func readImpersonation(h http.Header) (*grant.Identity, *refusal) {
	id := &grant.Identity{Mode: grant.ModeImpersonate, Extra: map[string][]string{}}
	for name, values := range h {
		switch {
		case (name == userHeader || name == uidHeader) && len(values) != 1:
			return nil, bad(ruleIdentity, "%s: one value is needed", name)
		case name == userHeader:
			id.User = values[0]
		case name == uidHeader:
			id.UID = values[0]
		case name == groupHeader:
			id.Groups = values
		case strings.HasPrefix(name, extraHeader):
			key, err := url.PathUnescape(strings.ToLower(strings.TrimPrefix(name, extraHeader)))
			if err != nil {
				return nil, bad(ruleIdentity, "%s: the name cannot be read", name)
			}
			id.Extra[key] = values
		default:
			return nil, bad(ruleIdentity, "%s: the Kubernetes API knows no such header", name)
		}
	}
	if id.User == "" {
		return nil, bad(ruleIdentity, "--as is needed where --as-group or --as-uid is given")
	}
	return id, nil
}
