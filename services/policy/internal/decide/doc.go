// Package decide says whether a job may act in the cluster, as whom and where,
// from what GitLab says of the job and from the agent's configuration.
//
// The api package calls it. Decide is a pure function: same evidence, same
// configuration, same rules, same answer, explained in words for the job's
// trace. It signs nothing, reads no clock, no file and no network. What a job's
// author can write is read for two purposes only, both of which narrow: which
// agent and namespace the job is meant for, and the conditions of the cluster's
// owner and of towline.yaml that ask for it.
package decide
