// Package egress is the runners' only way out of the cluster: an HTTP proxy that
// leads to GitLab's own address and to what the cluster's owner lists, and
// nowhere else.
//
// A job's process reaches it through its runner, with its grant as the proxy
// password. The proxy forwards bytes, follows nothing, adds no credential and
// resolves names itself, so that a job cannot choose an address. A process that
// is to end lets what is under way go on for DrainFor.
package egress
