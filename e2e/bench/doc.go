// Command bench measures Towline beside the tools that people use without it,
// in one run on one machine, and prints ratios.
//
// make bench calls it. Each way runs the same script on the same project against
// the same API server; a figure is the median of the runs.
package main
