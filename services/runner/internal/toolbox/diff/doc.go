// Package diff is the command diff: it compares files and directories, in the
// normal and the unified format, with the messages and exit codes of GNU diff.
//
// The toolbox calls it for each `diff` of a script. It reads the files that are
// named and nothing else, writes only to its streams, and never runs a program.
package diff
