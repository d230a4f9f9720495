// Package settings is what the environment and the global flags of a helm
// command say: where its files are and which cluster it means.
//
// The helm command builds one Settings for each invocation. Nothing here reads
// the environment of the process.
package settings
