// Package pipelinefile reads one thing from a project's .gitlab-ci.yml: which
// agent and namespace a job's environment.kubernetes names.
//
// GitLab sends neither to a runner. The intake asks for them so that a job that
// is meant for another agent is refused by name; both can only narrow, so that
// whatever is not plainly there (extends, include, !reference, inputs) counts as
// not said. The package fetches nothing and fails at nothing.
package pipelinefile
