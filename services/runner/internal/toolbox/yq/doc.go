// Package yq is mikefarah's yq, version 4, over its library.
//
// The toolbox calls it for each `yq` of a script. The library keeps its
// settings in package variables and reads files, the environment and standard
// input of the process: here one command evaluates at a time, paths in flags
// and in load() are relative to the script's directory, env() and envsubst see
// the script's variables, and standard input is read before the turn is taken,
// so that two of them can stand in one pipeline. It never runs a program: the
// system operator stays off.
package yq
