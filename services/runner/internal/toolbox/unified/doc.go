// Package unified compares two texts line by line and writes the difference in
// the unified format, as `diff -u` does.
//
// The commands of the toolbox that show changes (git diff, kubectl diff,
// towline diff) call it. It works on texts in memory, never opens a file and
// never runs a program.
package unified
