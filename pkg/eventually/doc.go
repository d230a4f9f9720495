// Package eventually waits, in tests, for what must come true.
//
// Tests of all modules call it where nothing tells them that it has: a state in
// Redis, a line of a log. It says nothing of how long something takes.
package eventually
