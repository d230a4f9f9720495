// Package joblog is the way of a job's output from its process into the
// ledger: masked, repaired, limited, numbered and appended.
//
// The worker owns one Log per job. Bytes get an offset only after masking, and
// what has an offset never changes. The log is kept whole in memory, bounded by
// its limit, so that it survives a Redis that forgets or is away for a while.
// The package interprets nothing of what a job writes.
package joblog
