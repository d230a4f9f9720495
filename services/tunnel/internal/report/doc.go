// Package report brings every job in the ledger to its final state at GitLab:
// it has new jobs admitted, uploads traces, reports states, carries
// cancellation back and closes jobs whose runner is gone.
//
// A Keeper tends each active job in one goroutine, under an ownership lease, so
// that another tunnel goes on where this one stops. The package never runs
// anything and never decides who may do what.
package report
