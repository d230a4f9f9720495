// Package program finds and starts the executables of the toolbox folders, the
// only files that a job may execute: real processes with the job's directory,
// environment and streams, whose ends are told as a shell tells them.
//
// The toolbox uses it for names that it has no command of its own for, and
// `runner toolbox` for what it prints. It never looks outside of the folders,
// and confinement is the kernel's business: processes inherit the sandbox.
package program
