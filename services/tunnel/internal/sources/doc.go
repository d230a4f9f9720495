// Package sources holds what all jobs are decided with and GitLab has: the
// agent's config.yaml and the towline.yaml beside it in its configuration
// project, and the keys of GitLab's ID tokens.
//
// A change of the configuration is seen by cheap conditional requests, and both
// files are then read of one commit. What does not parse changes nothing: the
// last good version stays in force and the faults are logged with file, line and
// remedy, and told to policy. Keys are read when a job brings an ID token, and
// again when one names a key that is not known. The package decides nothing and
// verifies nothing.
package sources
