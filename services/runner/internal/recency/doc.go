// Package recency orders what a directory keeps by when it was used, for those
// who keep only so much.
//
// The charts of GitOps and the shelves they stand on are kept with it. The time of
// an entry's last change says when it was used. It removes nothing: how much is
// kept is its callers' part.
package recency
