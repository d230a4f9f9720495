package gate

import (
	"net/http"
	"net/http/httputil"
	"strings"
)

// rewrite aims the request at the API server and drops everything by which a
// client could speak of an identity.
func (g *Gate) rewrite(p *httputil.ProxyRequest) {
	p.Out.URL.Scheme, p.Out.URL.Host = g.upstream.Scheme, g.upstream.Host
	p.Out.URL.Path = strings.TrimSuffix(g.upstream.Path, "/") + p.In.URL.Path
	p.Out.Host = ""
	p.Out.Trailer = nil
	for name := range p.Out.Header {
		if speaksOfIdentity(http.CanonicalHeaderKey(name)) {
			delete(p.Out.Header, name)
		}
	}
	dropProtocolTokens(p.Out.Header)
}

// speaksOfIdentity says whether a header names a user, carries a credential, or
// says where a request comes from, which the API server believes and audits.
func speaksOfIdentity(header string) bool {
	switch header {
	case "Authorization", "Proxy-Authorization", "Cookie", "Forwarded", "X-Real-Ip":
		return true
	}
	for _, prefix := range []string{"Impersonate-", "X-Remote-", "X-Forwarded-"} {
		if strings.HasPrefix(header, prefix) {
			return true
		}
	}
	return false
}

// protocolHeader lists what a WebSocket client speaks. The API server also takes
// a bearer token from it, as a protocol with tokenProtocol in front.
const (
	protocolHeader = "Sec-Websocket-Protocol"
	tokenProtocol  = "base64url.bearer.authorization.k8s.io."
)

func dropProtocolTokens(h http.Header) {
	var keep []string
	for _, line := range h.Values(protocolHeader) {
		for p := range strings.SplitSeq(line, ",") {
			if p = strings.TrimSpace(p); p != "" && !strings.HasPrefix(strings.ToLower(p), tokenProtocol) {
				keep = append(keep, p)
			}
		}
	}
	h.Del(protocolHeader)
	if len(keep) > 0 {
		h.Set(protocolHeader, strings.Join(keep, ", "))
	}
}
