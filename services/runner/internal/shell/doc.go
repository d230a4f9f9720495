// Package shell runs bash scripts inside this process: it reads them with the
// mvdan.cc/sh parser, says before anything runs what of them it cannot do, fits
// them to the interpreter, completes the interpreter's builtins, and bounds what
// a hostile script may take.
//
// The job process runs the scripts of its job with Shell.Run; scripts and
// programs start more shells as the commands sh and bash. What other commands
// there are is the toolbox's business. The package starts no process itself and
// knows nothing of GitLab.
package shell
