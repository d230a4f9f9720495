// Package app builds the policy service out of its parts and runs it.
//
// main calls it. It holds the settings and nothing else: every part is made
// here by hand, in the order in which it is needed.
package app
