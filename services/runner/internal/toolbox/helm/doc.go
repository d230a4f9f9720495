// Package helm is Helm 3 inside the runner's own process: a command tree of
// our own over the library of helm.sh/helm/v3, with the flags, output, messages
// and exit codes of the helm binary of that version, and with everything that
// belongs to one command (streams, directory, environment) taken from the
// caller instead of from the process.
//
// The toolbox calls it for each `helm` of a script. It never executes another
// program: plugins and credential helpers are refused, and a post-renderer is a
// command of the toolbox. It keeps no state between commands but the discovery
// that it shares with kubectl.
package helm
