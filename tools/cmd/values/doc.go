// Command values makes what follows from charts/towline/values.yaml: the schema
// that Helm checks values with, and the tables for people.
//
// A value's type is that of its default, and its comment is its documentation; a
// comment line "# @schema {...}" adds what neither says. Without a flag the
// command compares and fails on a difference; --write writes the files.
package main
