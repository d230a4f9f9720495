// Package fields reads who owns which fields of an object: the managed fields
// that server-side apply keeps.
//
// The apply engine tells with it whether somebody has changed what we applied,
// who holds a field that we want, and which fields a rule leaves to others. It
// never asks a cluster and never looks at a value.
package fields
