// Package suites runs the chart's own tests, charts/towline/tests, as the
// plugin helm-unittest does, and sees to it that they are all there: each
// template has a suite, and each value a test that fails without it.
//
// It is a module of its own, for helm-unittest would decide about versions that
// the services are built with. Nothing imports it.
package suites
