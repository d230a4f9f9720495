// Package kustomize is the command kustomize (build, edit, create, version)
// over its libraries, with paths relative to the script's directory.
//
// The toolbox calls it for each `kustomize` of a script, and kubectl's
// subcommand kustomize is its build; kubectl -k builds by itself. It never runs
// a program: plugins, helm charts and bases in other repositories are refused
// with the reason.
package kustomize
