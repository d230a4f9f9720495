// Package spelling writes command lines that GNU's programs understand as
// busybox understands them: letters for long options, and -exec for -delete of
// find.
//
// The toolbox asks it before it starts a program of a folder. A command line that
// it does not know whole stays as it is, and programs of GNU that an operator
// has added understand what it writes as well.
package spelling
