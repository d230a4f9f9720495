// Package grep is what busybox's grep lacks: -P, and --include, --exclude and
// --exclude-dir.
//
// With -P it searches by itself, for the patterns that Go's regular expressions
// can express, which are most that scripts have, with \K, and with a look-behind
// at the beginning and a look-ahead at the end of a pattern. Patterns beyond that
// are refused with the name of what is missing. Without -P it finds the files
// and has the program of the toolbox folder search them.
//
// The toolbox runs it in place of that program when one of these options is
// given; every other grep stays the program's.
package grep
