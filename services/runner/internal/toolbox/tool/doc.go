// Package tool says what a command of the toolbox is: a function that gets its
// arguments, directory, environment and streams, and returns an exit code.
//
// Every command of the toolbox implements Command; the toolbox calls them for
// the interpreter and for programs that call back. Nothing here runs anything.
package tool
