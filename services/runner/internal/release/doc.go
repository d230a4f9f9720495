// Package release keeps Helm releases equal to what a configuration says: a
// chart, values and how to deploy them.
//
// The GitOps sync calls it, with a client configuration whose bearer token is a
// grant and whose address is the gate. One run observes the release, chooses the
// next action (install, upgrade, rollback, uninstall, test, or recovering from a
// run that died), carries it out and observes again, until there is nothing left
// to do or an action would come a second time. A release whose content is what
// its last deployed revision records gets no new revision; what was changed by
// hand is put right without one.
//
// What it needs to know from run to run is in labels of Helm's own release
// Secrets, so any runner can go on where another one stopped, and the helm
// binary lists, rolls back and upgrades the same releases.
//
// It never reads Git and never decides what an identity may do (the gate and RBAC
// do). Values are never logged: what came from Secrets is blackened in every
// message. A release is for one run at a time; the caller holds the lease.
package release
