// Package callers says who calls policy: it checks ServiceAccount tokens with
// the Kubernetes API's TokenReview and lets in only the ServiceAccounts that
// the settings name.
//
// The api package asks it for each request to decide. It never keeps a token,
// only its hash, and never logs one.
package callers
