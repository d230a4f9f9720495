// Package escape holds the escape tests: jobs of a pipeline that try to get out
// of their confinement or to bring the runner down, through the whole
// installation: a strict GitLab simulator, tunnel, policy, runner and a real
// control plane.
//
// Each case is a job's script. It must end as the case says, with a log that
// says why, and leave a runner that is ready and runs the next job. What a single
// process can try by raw system calls is also tested in the sandbox's own
// package.
package escape
