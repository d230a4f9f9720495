// Package sandbox confines the process of one job: files by Landlock to the
// job's own directories (never to execute), TCP by Landlock to the given
// loopback ports, every other kind of socket by seccomp, plus no_new_privs,
// resource limits, an empty environment and a private umask.
//
// A job process calls Enter once, before it does anything for its job; the
// supervisor calls Check at start-up. There is no way back out, and Enter never
// pretends: with ModeEnforce it fails where the kernel cannot do all of it.
package sandbox
