// Package strictyaml reads one YAML file against a schema: every unknown key,
// wrong type, duplicate and limit that is exceeded is reported at once, each
// with file, line, column, key and remedy, and nothing is read that is not in
// the schema.
//
// The packages that own a file (agentconfig, rules) hold its schema and turn
// the checked values into their types. The package knows no file of its own,
// opens none, and never quotes a value whose type is wrong: it may be a secret
// in the wrong place.
package strictyaml
