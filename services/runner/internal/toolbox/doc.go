// Package toolbox is the set of commands that a job's script can use: handlers
// for the mvdan.cc/sh interpreter that turn a name into a function of this
// process, given the interpreter's directory, environment and streams.
//
// The job process builds one Toolbox for its job and one Shell for each
// script. Nothing here ever executes a program: a name that is not in the set
// ends with 127, whatever PATH says.
package toolbox
