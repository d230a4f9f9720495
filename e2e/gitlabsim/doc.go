// Package gitlabsim is a strict GitLab for tests and demonstrations: the
// runner job protocol, the job-token API, git over smart HTTP and pipelines
// from a .gitlab-ci.yml, with state in memory and repositories as bare git
// directories. Tests call it in-process ([Start] and the methods of [Server]);
// other processes use the same calls over HTTP under /_sim/ (package
// simclient). It refuses what GitLab refuses and records every request a
// correct client would not send as an [Anomaly]. It shares no code and no
// types with the product, and it never talks to anything but its callers and
// the git binary. Section numbers in comments are those of the protocol sheet.
package gitlabsim
