// Command deps lists the third-party modules that are linked into each service
// in services/<name>/deps.txt, so that a change of what ships is seen in review.
//
// Without a flag it compares and fails on a difference, and on a module that is
// required without a reason in docs/dependencies.md; --write writes the files.
package main
