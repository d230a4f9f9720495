// Package cache keeps files of one job for later ones, in a directory or in an
// S3-compatible store, when the operator has set one up.
//
// The supervisor runs a Server on loopback and opens a session for each job; the
// job process reads and writes through a Client. A session serves exactly the
// keys that the job's payload names, within the job's project: neither the
// store's credentials nor other entries can be reached from a job. The package
// does not pack or unpack, and no failure of it fails a job.
package cache
