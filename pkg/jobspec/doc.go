// Package jobspec is a GitLab CI job as GitLab describes it to a runner: the
// wire types of the 201 answer to POST /api/v4/jobs/request, their bounded and
// tolerant decoding, and the rules by which a job's variables become an
// environment.
//
// The tunnel decodes a payload to record and report it, the runner decodes the
// same bytes again to execute it. The package performs no I/O and decides
// nothing about authorization: every field that a pipeline's author can write
// is only data here (runner-api sheet, section 5).
package jobspec
