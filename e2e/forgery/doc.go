// Package forgery lies to an installation in every way that its enemies could:
// as the author of a pipeline, who may write every variable, and as somebody
// with full access to Redis.
//
// One installation serves all tests: three services, a real Redis, a real
// Kubernetes API, a strict simulated GitLab. Nothing may run that policy has not
// signed, nobody may become another, and no secret may stand in Redis, in a
// service's log or in a job's. The statements of docs/security.md point here.
package forgery
