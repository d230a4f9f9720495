// Package chart tests charts/towline and skaffold.yaml: the chart is rendered
// by Helm's own engine, and what comes out is shown to a real API server.
//
// The tests hold the chart to what it is made for. Its arguments are compared
// with the services' settings and its rights with those of e2e/rig, so that
// neither can change alone. Nothing is installed and no image is needed.
package chart
