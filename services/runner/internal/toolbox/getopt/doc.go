// Package getopt reads command lines as the GNU programs do: short options that
// may stand together, long ones that may be shortened, values that are attached
// or follow, operands in between, and the words of the C library where
// something is wrong.
//
// The commands of the toolbox that stand for a GNU program use it. It never
// writes anything.
package getopt
