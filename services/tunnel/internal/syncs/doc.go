// Package syncs keeps the tasks of gitops entries in the ledger true: it looks
// where each entry's ref stands, fetches what a new commit has for it, asks
// policy and makes that state the wanted one. Of finished tasks it tells GitLab.
//
// The tunnel's app starts it when gitops is on. Replicas share the entries by a
// lease for each. The package never touches the cluster, and gives runners no
// token: what a task needs of a repository travels through the ledger.
package syncs
