// Package callback lets a program that a job has started run a command of the
// job's own process: a small program of the toolbox folder, under the command's
// name, hands over its arguments, environment, directory and streams through an
// inherited socket, and ends with the exit code that comes back.
//
// The job process runs the Server; services/runner/cmd/call is the program and
// uses Forward. Everything the server reads was written by the job and is
// bounded. Nothing here decides what a command may do or starts a process, and
// it imports only what lets the program stay small and start fast.
package callback
