// Package pace ends answers that hardly come: whoever fetches something large
// waits for a slow server, but not for one that sends a byte now and then.
//
// The tunnel holds archives of repositories to a pace, the runner charts. The
// package bounds neither the size of an answer nor the whole time it takes:
// that is its callers' part.
package pace
