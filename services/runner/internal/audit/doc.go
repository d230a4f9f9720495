// Package audit brings the records of the gate to where people look for them:
// a stream in Redis and, where the cluster's owner wants it, a webhook.
//
// The gate hands it a record from within a request, so nothing here ever makes
// one wait: each destination has a bounded queue of its own, and a record that
// finds it full is dropped, counted and logged. The line in the log is the
// gate's own and does not depend on this.
package audit
