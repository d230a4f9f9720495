// Package jq is the command jq over the gojq library: jq's options, its reading
// and writing of JSON, and its exit codes.
//
// The toolbox calls it for each `jq` of a script. env and $ENV are the
// variables of the script, paths are relative to its directory. It never reads
// the process's own environment and searches modules only where -L says.
package jq
