// Call is the program that stands in the toolbox folder under the name of every
// command of the job's own process, so that programs can start those commands.
package main
