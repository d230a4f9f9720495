// Package signature says whose signature a commit bears: SSH's or OpenPGP's, by
// one of the public keys that an entry of gitops lists.
//
// The package syncs calls it. It believes nothing but those keys, neither what
// GitLab says of a signature nor what a signature says of itself, and asks no
// network.
package signature
