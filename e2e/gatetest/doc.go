// Package gatetest proves the gate against a real kube-apiserver: what a job is
// to the API server, what RBAC then allows it, and that the gate's own
// credential is worth nothing without a grant.
//
// It holds tests only. The unit tests beside the gate say what it does with a
// request; these say what the API server makes of it.
package gatetest
