// Package wget is the part of GNU wget that deploy scripts use: fetch a few
// addresses into files or to standard output, with headers, a body, retries and
// wget's exit codes.
//
// The toolbox runs it in place of busybox's wget, which does not know the way
// out of a job. It never follows links of pages, and reaches nothing that the
// way out does not allow.
package wget
