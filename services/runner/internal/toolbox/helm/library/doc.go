// Package library is Helm's library as this process uses it: what the library
// keeps per process, how it reaches a cluster, and how values are merged.
//
// The helm commands of the toolbox and the releases of GitOps call it, so that
// both mean the same by a release. It decides nothing, and the only state of its
// own is who takes the library's lines; credentials are its callers' business.
package library
