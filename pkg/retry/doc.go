// Package retry is the one loop by which Towline polls and backs off.
//
// Its callers report each attempt as an Outcome; the loop decides how long to
// wait. It knows no protocol and sets no policy beyond the figures it is given.
package retry
