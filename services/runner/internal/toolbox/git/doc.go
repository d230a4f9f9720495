// Package git is the part of the command git that deploy scripts use, over
// go-git: looking at the checkout (rev-parse, log, show, status, diff,
// describe, ...), moving in it (checkout, switch, restore), and writing to a
// repository of deployments (clone, add, commit, push).
//
// The toolbox calls it for each `git` of a script. It speaks HTTP and HTTPS
// through the toolbox's proxy and nothing else: no SSH, no local remotes. It
// runs no hooks, no credential helpers, no filters and no other program.
package git
