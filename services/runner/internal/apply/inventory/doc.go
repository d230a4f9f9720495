// Package inventory keeps what a set has put into the cluster: a ConfigMap that
// GitLab's agent (cli-utils) left behind or that reads the same, and that
// kubectl knows as the parent of an ApplySet.
//
// The apply engine loads it before anything else and saves it twice: before the
// first change, with everything old and new, and after the last, with what is
// there. So whenever the process dies, the inventory names at least what exists.
// Each entry remembers what was applied and what we owned of it then, so that an
// unchanged object is known without reading it. The package never deletes an
// object, and a save fails rather than overwrite somebody else's.
package inventory
