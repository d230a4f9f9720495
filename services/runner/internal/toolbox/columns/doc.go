// Package columns is the commands comm, which compares two sorted files line by
// line, column, which aligns the fields of its input as a table, and cut, which
// prints some of them.
//
// The toolbox calls them for a script. They read the files that are named and
// their standard input, write only to their streams, and never run a program.
package columns
