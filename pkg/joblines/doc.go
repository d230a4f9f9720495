// Package joblines is the form of a job's log as GitLab reads it: the kinds of
// lines that a runner writes itself, and the timestamps in front of every line.
//
// The tunnel writes with it what it has to say about a job that did not run, the
// runner everything else. The package masks nothing and sends nothing.
package joblines
