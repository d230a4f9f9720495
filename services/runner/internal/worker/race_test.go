//go:build race

package worker

// manyJobs is small here: a process with the race detector takes long to start.
const manyJobs = 30
