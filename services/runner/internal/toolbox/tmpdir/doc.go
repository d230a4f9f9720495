// Package tmpdir gives each job a /tmp of its own. Scripts write there as a
// matter of course; the real one is shared by all jobs of a runner and closed to
// them, and a mount of one's own is not to be had in a pod.
//
// The shell asks it for each path that it opens or looks at, the toolbox for the
// arguments and the environment of each command: whatever names something below
// /tmp names the same thing below a directory of the job. Text that only
// contains such a path, such as a program for awk or the command of `kubectl
// exec`, is left as it is. Nothing here touches a file.
package tmpdir
