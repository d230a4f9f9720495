// Package output writes what a build leaves for others: files that are there
// whole or not at all, and dates that make the same source the same bytes.
//
// The programs that build images and the chart use it. What is in the files is
// their business.
package output
