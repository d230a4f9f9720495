// Package explain answers people: why a job was let in or refused, what would
// become of a job, and which configuration is in force and where it comes from.
//
// app serves it on a local socket of the running service and calls it for the
// commands "policy explain" and "policy show". It decides with the function that
// decides about jobs, given to it, and signs nothing. Answers hold no
// credentials.
package explain
