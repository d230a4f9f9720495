// Package perlgrep is `grep -P` for the patterns that Go's regular expressions
// can express, which are most that scripts have, with \K, and with a look-behind
// at the beginning and a look-ahead at the end of a pattern. Patterns beyond
// that are refused with the name of what is missing.
//
// The toolbox runs it in place of busybox's grep when -P is given; every other
// grep stays busybox's.
package perlgrep
