// Command gitlabsim runs the GitLab simulator as its own process: it prints
// one JSON line {"url": "..."} when it is ready and serves until SIGTERM,
// SIGINT or, with --exit-with-parent, the end of its standard input. It is
// driven over HTTP by package simclient and has no commands of its own.
package main
