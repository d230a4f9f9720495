// Package gitops holds the scenarios of gitops: a real API server, a real Redis,
// the three services as processes, and the simulator's Git. Each test pushes
// what a person would push and looks at the cluster and at GitLab.
package gitops
