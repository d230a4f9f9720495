// Package redistest runs a real redis-server for tests and for the demo: a
// child process on a loopback port, with a password, without persistence, that
// dies with its parent.
//
// Tests call New for a server that the whole test process shares, with a Prefix
// of their own, and Private for one that they may stop, pause or flush. The
// package knows nothing of the ledger's keys, and no service imports it.
package redistest
