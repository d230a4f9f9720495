// Package selfcheck looks at an installation from end to end and says what is
// wrong and what to do: Redis, policy, the tunnel and through it GitLab, the
// egress proxy, the Kubernetes API, and whether a job's identity passes the gate.
//
// `towline-runner selfcheck` calls it, in the pod of `helm test`, with the
// runner's own rights and settings. It takes no job, changes nothing in the
// cluster and nothing in Redis, and shows no credential.
package selfcheck
