// Package access says what a request to the Kubernetes API is about, in the words
// of RBAC.
//
// The gate makes it of what a job sends, and the rules of the cluster's owner are
// asked about it. It decides nothing.
package access
