// Package gitobject reads commits and trees out of what Git sends for a fetch,
// and knows each by the digest of its content alone: nobody who stands between
// author and reader can put another one in its place.
//
// The package syncs uses it for entries whose commits must be signed. It holds
// what it reads to limits of size, number and depth, refuses SHA-1 collisions,
// and asks no network.
package gitobject
