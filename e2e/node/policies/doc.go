// Package policies pins kube-network-policies, which enforces NetworkPolicies on
// the node of package node. The program is built from this module, which has no
// code: it lives outside go.work, because the program chooses its libraries
// itself.
package policies
