// Package pipelines runs deploy pipelines as teams have them, all projects of
// ../testdata/pipelines, through one whole installation and compares every job's
// state, exit code and log and the objects in the cluster with what the project
// expects. Its tests are its only callers. With -oracle the same projects run
// under the real bash and the real programs instead, by hand, to keep the
// expectations honest; the folder given holds kubectl, helm, yq and kustomize,
// the rest is the system's. It never changes a project to make it pass.
package pipelines
