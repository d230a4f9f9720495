// Package syncer carries out the tasks of gitops entries: it claims one from the
// ledger, checks that it is what policy has signed, unpacks what the repository
// has for it and hands the objects to the apply engine.
//
// The runner's app runs a Worker. The work itself, which reads files of unknown
// authors, is done by a process of its own (Main), confined as those of jobs are:
// it has no credential but the grant and reaches nothing but the gate. What it
// says of a sync is a report, never a decision.
package syncer
