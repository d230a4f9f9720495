// Package workspace fills a job's project directory: Git over HTTP(S) through
// the supervisor's proxy, with the notices of GitLab's own runner.
//
// The job process calls GetSources in the stage of the same name. The package
// never runs a git program, never speaks another protocol than HTTP(S), never
// writes outside the directory it is given, and never puts a credential into
// an error or into the repository's configuration.
package workspace
