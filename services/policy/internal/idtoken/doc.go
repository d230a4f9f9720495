// Package idtoken verifies the ID tokens that a job brings along.
//
// The api package calls it with the evidence of a tunnel, which has the keys
// from GitLab: policy itself talks to nobody outside. A token counts only if
// GitLab signed it, for Towline, for this very job, and if it is in force now.
// Verify is a pure function of its arguments; it keeps nothing, and no error of
// the package quotes a token.
package idtoken
