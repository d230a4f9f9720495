// Command fuzz runs every fuzz target of the repository for a while, one after
// the other. A target that finds something leaves its input below testdata/fuzz
// of its package, as go test does; the others still run.
package main
