// Package sources watches files in GitLab repositories: for now the agent's
// config.yaml in its configuration project.
//
// A change is seen by cheap conditional requests. What does not parse changes
// nothing: the last good version stays in force and the faults are logged with
// file, line and remedy. The package decides nothing.
package sources
