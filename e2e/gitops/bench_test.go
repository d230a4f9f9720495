package gitops

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// BenchmarkCommitToApplied is the time from a push until the cluster holds what
// was pushed, with the tunnel's usual interval of 3 s, one changed object of 20.
func BenchmarkCommitToApplied(b *testing.B) {
	files := map[string]string{}
	for i := range 20 {
		files[fmt.Sprintf("k8s/c%d.yaml", i)] = configMap(fmt.Sprintf("c%d", i), "x", "0")
	}
	o := open(b, plain, files, "--gitops-interval=3s")
	o.eventually("the first commit", func(context.Context) bool { return o.data("c0")["x"] == "0" })
	n := 0
	var longest time.Duration
	for b.Loop() {
		n++
		value := fmt.Sprint(n)
		began := time.Now()
		o.push(map[string]string{"k8s/c0.yaml": configMap("c0", "x", value)})
		o.eventually("the change", func(context.Context) bool { return o.data("c0")["x"] == value })
		longest = max(longest, time.Since(began))
	}
	b.ReportMetric(longest.Seconds(), "longest-s")
}
