// Package transient tells failures of the Kubernetes API that pass by themselves
// from those that stay, and repeats requests while they last.
//
// The apply engine and its inventory use it for requests that may be done twice.
// It never repeats a refusal, and knows nothing of what is asked.
package transient
