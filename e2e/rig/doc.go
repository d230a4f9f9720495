// Package rig is a Towline installation on this machine: the three services as
// separate processes against a real Kubernetes API, a Redis and a GitLab, with
// the ServiceAccounts and the RBAC that a cluster's owner would give them.
//
// The demo, the scenarios and the benchmarks use it. It gives the services no
// right that the chart would not give, and knows nothing of what they do
// inside.
package rig
