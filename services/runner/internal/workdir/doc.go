// Package workdir gives a replica of the runner a directory of its own below the
// work directory, which replicas may share and which outlives them, and removes
// what replicas that are dead have left there.
//
// A replica is alive as long as it holds the lock on its directory; the kernel
// frees it whatever the replica dies of. The package touches nothing that does
// not bear its names.
package workdir
