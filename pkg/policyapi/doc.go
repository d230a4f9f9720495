// Package policyapi is the contract between tunnel and policy: what the tunnel
// tells of a job, what policy answers, and the tunnel's client for it.
//
// The tunnel sends evidence, which is what GitLab itself says of a job, never
// what the job's author can write (runner-api sheet, section 5); the few fields
// of the author's that are in it can only narrow or are only shown. Policy
// reads requests with ReadRequest. The package decides nothing, keeps no state
// and never logs.
package policyapi
