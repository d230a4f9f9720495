// Package decide says whether a job may act in the cluster, as whom and where,
// from what GitLab says of the job and from the agent's configuration.
//
// The api package calls it. Decide is a pure function: same evidence, same
// configuration, same answer, explained in words for the job's trace. It signs
// nothing, reads no clock, no file and no network, and never reads anything of
// the job that its author can write, but for a requested context, which only
// narrows.
package decide
