// Command runner executes jobs inside the cluster. Started as "runner job" it is
// the process of a single job.
package main
