// Package intake is the way of a job from GitLab into the ledger: a ticket, a
// long poll, the record, evidence, the decision of policy, the queue.
//
// The Poller takes jobs, the Admission decides them; in between they stand in
// the ledger as accepted, so that another tunnel can go on with them. Evidence
// is only what GitLab itself says (runner-api sheet, section 5): no variable, no
// script and no name that a pipeline's author writes is ever part of it, except
// where it can only narrow. The package uploads nothing and runs nothing.
package intake
