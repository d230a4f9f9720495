// Package helmtest is what the tests of helm's commands and of releases work
// with: the real helm binary, and servers of charts that let in nobody but User.
//
// Only tests import it. The servers listen on the loopback alone.
package helmtest
