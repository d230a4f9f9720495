// Package usage measures what a running job takes: its files, with the ones that
// are deleted and still open, its processes and their memory.
//
// The supervisor asks while the job runs, so whatever it looks at may change
// under its eyes: a link is never followed, and no figure is better than the
// moment it was taken. The package stops nothing.
package usage
