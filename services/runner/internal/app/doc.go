// Package app builds the runner by hand from its parts and runs it.
//
// main calls it. It holds the settings and the order of start and stop, and no
// behaviour of its own.
package app
