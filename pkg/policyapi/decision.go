package policyapi

import "github.com/towline/towline/pkg/grant"

// Decision is policy's answer. Reasons, Remedy and Notices are for the job's
// trace, in plain words.
type Decision struct {
	Allow bool `json:"allow"`
	// Grant is the signed grant; empty when Allow is false. It is a
	// credential: it belongs into the sealed payload and nowhere else.
	Grant            string         `json:"grant,omitempty"`
	Identity         grant.Identity `json:"identity,omitzero"`
	Agent            grant.Agent    `json:"agent,omitzero"`
	Namespaces       []string       `json:"namespaces,omitempty"`
	DefaultNamespace string         `json:"default_namespace,omitempty"`
	// Rule names the entry that decided or, on a refusal, came nearest, with
	// file and line.
	Rule    string   `json:"rule,omitempty"`
	Reasons []string `json:"reasons,omitempty"`
	Remedy  string   `json:"remedy,omitempty"`
	Notices []string `json:"notices,omitempty"`
}

// Routes of the API.
const (
	PathDecide = "/v1/decide"
	PathJWKS   = "/v1/jwks" // open to everybody: public keys
)

// Audience is the audience of the ServiceAccount tokens that callers of
// PathDecide present.
const Audience = "towline-policy"

// MaxBody is the largest body, either way, in bytes.
const MaxBody = 1 << 20

// Code says what went wrong with a request.
type Code string

// The codes of a Problem.
const (
	// CodeConfigurationNeeded asks the caller to repeat the request with the
	// configuration's content.
	CodeConfigurationNeeded Code = "configuration_needed"
	CodeUnauthenticated     Code = "unauthenticated"
	CodeForbidden           Code = "forbidden"
	CodeBadRequest          Code = "bad_request"
	CodeTooLarge            Code = "too_large"
	// CodeUnavailable means that policy cannot decide now; nothing is wrong
	// with the request.
	CodeUnavailable Code = "unavailable"
)

// Problem is the body of every answer that is not a decision.
type Problem struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
}
