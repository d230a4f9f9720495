// Package gate is the only door to the Kubernetes API: a reverse proxy that
// takes a grant as its bearer token, stamps the identity that policy signed,
// keeps the request inside the grant's namespaces and forwards it, streams and
// upgrades included.
//
// The runner serves it to its job processes on loopback. A grant works only
// while its holder has a session open here, so that neither a finished job nor
// another job's process can use it. The gate never gives its own credentials to
// a client and decides nothing that policy has not signed.
package gate
