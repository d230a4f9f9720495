// Package artifacts moves a job's artifacts to GitLab and those of earlier jobs
// from it, over GitLab's job API (runner-api sheet, section 13).
//
// The stages of a job process call it, with the job's own token. It selects and
// packs with package archive, keeps what is on its way in a file instead of in
// memory, gives the job token to GitLab alone, and never decides whether a
// failure fails the job.
package artifacts
