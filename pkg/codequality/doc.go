// Package codequality is the form of the reports that GitLab shows as code
// quality in merge requests: a JSON array of issues.
//
// Policy's lint and the runner's `towline diff` write such reports. The package
// chooses neither texts nor fingerprints.
package codequality
