// Package syncspec holds what tunnel and runner tell each other about a sync:
// the task, the bundle of files it is made of, and the report of how it ended.
//
// The tunnel makes tasks and bundles and reads reports, the runner the reverse.
// A task names its bundle by digest and its grant names the task by digest, so
// that all of it is what policy has signed. The package reads no network and
// decides nothing.
package syncspec
