// Package configuration finds the agent configuration to decide with: local
// files that the cluster's owner gave, what the tunnel sends from GitLab, or
// both in an order that is a setting.
//
// The api package asks it for each decision. A configuration that cannot be
// used never replaces the last good one. The package fetches nothing itself and
// decides nothing.
package configuration
