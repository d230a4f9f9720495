// Command bench measures Towline beside the tools that people use without it,
// in one run on one machine, and prints ratios and the goals they are held to.
//
// make bench calls it. Each way runs the same script on the same project against
// the same API server, in turns; a figure is the median of the runs. It ends
// with an error when a goal is missed.
package main
