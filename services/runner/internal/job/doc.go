// Package job is one CI job inside its own process: it takes a Spec from the
// supervisor, goes through GitLab's stages (sources, script, after_script) in
// the order and with the log bytes of GitLab's own runner, and answers with a
// Result.
//
// The runner's supervisor starts the process (Main is its whole program) and
// speaks with it over two pipes: length-prefixed messages on standard input
// (WriteSpec, WriteControl) and frames on descriptor 3 (FrameReader). The
// package never talks to GitLab's job API or to Redis, never masks (the
// supervisor does, for everything the process writes), never decides whether
// a job is allowed, and never starts another process.
package job
