// Package agentconfig is the agent's configuration: GitLab's file, config.yaml,
// and our own beside it, towline.yaml. It holds their types and schemas, the
// choice of the entry that applies to a job, and a loader and watcher for files
// on disk.
//
// The policy service decides with it, the tunnel reports faults with it. The
// schema of config.yaml is GitLab's (agent-config sheet, section 1): what
// GitLab's own server accepts and Towline does not act on is accepted with a
// notice, and where the two differ a fault or notice says so. The package never
// talks to GitLab or Kubernetes, never decides whether a job may run and never
// prints a token.
package agentconfig
