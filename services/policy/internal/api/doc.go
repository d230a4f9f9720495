// Package api is policy's HTTP side: POST /v1/decide for the tunnel and GET
// /v1/jwks for everybody who verifies grants.
//
// The app package mounts it. It authenticates callers, bounds requests, has
// the decision made, signs it and writes the one audit line of each decision.
// It never decides anything itself and never logs a token or a grant.
package api
