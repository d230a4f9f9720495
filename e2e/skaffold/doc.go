// Package skaffold reads the repository's skaffold.yaml as the program of that
// name would, of which it knows the part that the project uses: the images, the
// values of the chart's release, plain manifests, and profiles. The tests of the
// chart and those on a real node call it, so that what a developer gets is what
// they look at. It builds and deploys nothing.
package skaffold
