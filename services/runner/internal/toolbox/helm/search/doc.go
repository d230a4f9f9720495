// Package search finds charts in the indexes of repositories, with the order
// and the rules of `helm search repo`.
//
// The helm command fills an Index for each search. Nothing here reads files.
package search
