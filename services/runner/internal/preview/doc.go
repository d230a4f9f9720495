// Package preview shows what a job's working tree would change if it were the
// next commit of an entry of gitops: as a unified diff for people, and as a
// report in the form of GitLab's code quality.
//
// The command towline diff calls it inside the job's process. The API server is
// asked with the job's own grant and only tries; values of Secrets are never
// written, only that a key changed. The package reads no file outside of the
// tree and changes nothing in the cluster.
package preview
