// Package glob matches names of files as fnmatch does, in the ways that GNU's
// programs have for their --exclude and --include.
//
// The commands of the toolbox that take such patterns use it. It only compares
// text: no file is looked at.
package glob
