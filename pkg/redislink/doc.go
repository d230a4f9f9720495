// Package redislink is how the tunnel and the runner reach Redis: the options,
// which both have in the same words, and the client made of them.
//
// Redis may be one server, a set watched by Sentinel, or a Cluster; with TLS or
// without. Passwords come from files that are read again for each connection, so
// that they rotate without a restart. The package knows no keys (see pkg/ledger)
// and dials nothing.
package redislink
