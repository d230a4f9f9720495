// Package machine answers what scripts ask about where they run: who am I, how
// many processors are there, what is this host called, how wide is the
// terminal. A job has no user database and no terminal, so that some of the
// answers are fixed.
//
// The toolbox runs its commands in place of busybox's. Nothing here changes
// anything.
package machine
