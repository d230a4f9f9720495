// Package kinds knows which kinds a cluster has, and those that definitions in a
// set are about to add.
//
// The apply engine asks it once in a run. It never guesses the plural of a kind
// and never mistakes a group that does not answer for one that does not exist.
package kinds
