// Package records keeps what was decided about jobs: one line of the log for
// each decision, and the newest of them in memory so that "policy explain --job"
// can answer.
//
// The api package adds to it, the explain package reads it. It holds no
// credentials: no grant, no token, nothing of a job's payload but its names.
package records
