// Package place is the commands that put files into their place and say where
// they are: install, split, join, mktemp, realpath and flock, as GNU and util-linux
// have them.
//
// The toolbox runs them because busybox has none of them, or lacks the options
// that scripts use. They touch only what the kernel lets the job touch.
package place
