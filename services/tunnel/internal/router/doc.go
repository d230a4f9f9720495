// Package router takes jobs from GitLab's job router: gRPC over a WebSocket to
// the relay that GitLab names, in place of POST jobs/request (runner-api sheet,
// section 19). Everything else about a job stays with GitLab's API.
//
// intake.Poller calls it where --job-router is set. Source falls back to the API
// by itself whenever the router is not there or not well; it never decides
// anything about a job, and reads nothing of it.
package router
