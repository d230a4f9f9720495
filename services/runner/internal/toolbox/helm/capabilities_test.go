package helm

import "testing"

// TestChartsSeeTheLinkedKubernetes: what a chart is rendered for where no
// cluster is asked, and what lint calls deprecated.
func TestChartsSeeTheLinkedKubernetes(t *testing.T) {
	compare(t, newShell(t), newShell(t), []line{
		{args: "template mine capabilities -s templates/known.yaml"},
		{args: "template mine capabilities --kube-version 1.24.0"},
		{args: "template mine capabilities -s templates/known.yaml --kube-version 1.30.1 -a a/v1"},
		{args: "lint capabilities"},
		{args: "lint capabilities --strict --kube-version 1.21.0"},
	})
}
