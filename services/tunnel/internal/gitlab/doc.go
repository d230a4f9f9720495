// Package gitlab is the one client of GitLab: the Runner job API, the calls a
// job token may make, and the reading of files. No other package of Towline
// speaks to GitLab, except the egress proxy, which forwards bytes it does not
// read.
//
// HTTP codes stop here: callers see outcomes. Bodies, headers and waits are
// bounded. The protocol facts are those of the runner-api sheet; sections are
// named where they matter. Tokens never appear in errors or logs.
package gitlab
