// Package configuration finds the agent configuration to decide with: a local
// file or directory if the cluster's owner gave one, else what the tunnel sends
// from GitLab.
//
// The api package asks it for each decision. A configuration that cannot be
// used never replaces the last good one. The package fetches nothing itself and
// decides nothing.
package configuration
