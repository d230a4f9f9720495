// Package succession lets a new key be known everywhere before it is used.
//
// The keys that seal and those with which policy signs follow one another by it.
// It makes, reads and keeps no key beside the two between which it chooses.
package succession
