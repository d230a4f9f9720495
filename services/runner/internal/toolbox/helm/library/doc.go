// Package library is Helm's library as this process uses it: what the library
// keeps per process, how it reaches a cluster, and how values are merged.
//
// The helm commands of the toolbox and the releases of GitOps call it, so that
// both mean the same by a release. It decides nothing and keeps no state of its
// own; logs and credentials are its callers' business.
package library
