// Package simclient calls the admin API of a GitLab simulator that runs in
// another process; the demo and tests with separate binaries use it. Its
// methods mirror those of gitlabsim.Server and it does nothing else.
package simclient
