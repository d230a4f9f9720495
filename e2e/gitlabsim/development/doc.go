// Package development is what the simulator holds for somebody who develops
// Towline in a cluster: a project with an agent and a pipeline, and tokens that
// never change. The command gitlabsim fills itself with it when it is told to
// (--development), as manifests.yaml tells it. The tokens are public, and whoever
// reaches this GitLab may do everything there: it is for clusters of developers
// and for nothing else.
package development
