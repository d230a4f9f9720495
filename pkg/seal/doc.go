// Package seal encrypts what is at rest in the ledger, so that whoever reads or
// writes Redis learns no secret of a job and can put nothing of their own in
// its place.
//
// The tunnel seals payloads and grants, the runner opens them; both hold the
// same key file, and follow it while they run: a new key in front is known at
// once and seals a little later. The package never stores or logs a key and
// performs no I/O but reading that file.
package seal
