// Package inquiry answers what jobs ask about entries of gitops: where a sync
// stands, and that its source be looked at now.
//
// A job process asks its supervisor through the pipes between the two, and the
// supervisor's Desk answers from the ledger, in which a job has no access. Who
// may ask is decided from the grant, which policy has signed with the project
// that GitLab names, and from the configuration; nothing the job says counts.
// The desk tells states, never secrets, and starts nothing but a look.
package inquiry
