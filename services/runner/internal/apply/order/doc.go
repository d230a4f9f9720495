// Package order says in which order objects are applied, and deleted the other
// way round: by kind, and by the annotation config.kubernetes.io/depends-on.
//
// The apply engine calls it. It only sorts: it asks nobody and waits for nothing.
package order
