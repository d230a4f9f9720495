// Package agentconfig is GitLab's agent configuration file, config.yaml: its
// types, a strict parser that reports every fault at once with line, column and
// remedy, the choice of the entry that applies to a job, and a loader and
// watcher for files.
//
// The policy service decides with it, the tunnel reports faults with it. The
// schema is GitLab's, unchanged (agent-config sheet, section 1): what GitLab's
// own server accepts and Towline does not act on is accepted with a notice. The
// package never talks to GitLab or Kubernetes, never decides whether a job may
// run and never prints a token.
package agentconfig
