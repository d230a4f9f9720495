// Package conformance holds Towline against the text of GitLab's job protocol:
// each case is a test named by what is given, what happens, and what must follow.
//
// The cases run against the strict simulator of GitLab, at the cheapest level that
// proves them: the tunnel alone, with the test in the runner's place (site), or
// the whole installation (installation). TestEveryCaseHasItsTest says where the
// cases are that only a package's own tests can reach. Nothing but tests is here.
package conformance
