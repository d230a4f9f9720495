// Package joblog shows a job's raw log the way GitLab's job page does: lines
// with carriage returns applied, timestamps split off, sections as a tree with
// headers and durations, and a list of what is malformed. Tests and the demo
// call it on bytes they already have; it reads and writes nothing.
package joblog
