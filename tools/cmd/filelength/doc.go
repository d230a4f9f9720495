// Command filelength fails if a Go file has more lines than one can keep in mind:
// 400, or 500 for tests. Generated files are left alone.
package main
