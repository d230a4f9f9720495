// Package toolbox is what a job's script can run by name: commands of the job's
// own process, the executables of the toolbox folders, and stand-ins for the
// most common of those where there is no folder.
//
// The job process builds one Toolbox for its job; the shell looks commands up
// in it and has it run them, and so do programs that call back. It never
// executes a file outside of the folders: such a name ends with 126 or 127,
// unless the file is a script for an interpreter that is here.
package toolbox
