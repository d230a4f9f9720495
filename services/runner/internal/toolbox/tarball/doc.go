// Package tarball is tar for the options that busybox's lacks: --exclude, -T,
// --transform, --wildcards, and --owner, --mtime and --sort, which make archives
// that can be reproduced.
//
// The toolbox runs it in place of the program of its folder when one of these is
// given, and where tar has to find out how an archive is compressed. It writes
// and lists archives by itself. What is extracted it only chooses and renames:
// the program of the folder gets the resulting archive and makes the files, so
// that the same rules protect from names and links that lead outside.
package tarball
