//go:build !race

package worker

// manyJobs is how many jobs show a leak.
const manyJobs = 200
