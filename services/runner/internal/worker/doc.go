// Package worker is the supervisor of jobs: it offers tickets, claims jobs,
// checks that policy has signed them, runs each in a job process of its own and
// writes trace and result into the ledger.
//
// It holds the leases and the pool of warm processes. No credential of its own
// ever enters a job process; what a job process sends back is hostile input.
// The package executes nothing of a job itself.
package worker
