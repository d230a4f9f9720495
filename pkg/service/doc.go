// Package service is what every Towline service shares: the frame of main,
// settings from flags and environment, structured logs, readiness, metrics, the
// HTTP server and an orderly stop.
//
// The services' internal/app packages call it. It knows nothing of jobs, of
// Redis or of GitLab, and the packages that do know them never import it.
package service
