//go:build integration

package helm

import (
	"fmt"
	"testing"
	"time"
)

// The benchmarks are `helm upgrade --install` of three objects: in a process
// that has seen the cluster before, and by the helm binary.

func BenchmarkUpgradeUnchanged(b *testing.B) { benchmark(b, false, false) }

func BenchmarkUpgradeChanged(b *testing.B) { benchmark(b, true, false) }

func BenchmarkUpgradeUnchangedReal(b *testing.B) { benchmark(b, false, true) }

func BenchmarkUpgradeChangedReal(b *testing.B) { benchmark(b, true, true) }

func benchmark(b *testing.B, change, real bool) {
	s := clusterShell(b, fmt.Sprintf("bench-%d", time.Now().UnixNano()))
	b.Chdir(s.dir)
	run := func(l line) result { return s.run(b.Context(), l) }
	if real {
		run = func(l line) result { return s.runReal(b, l) }
	}
	const upgrade = "upgrade --install web app --create-namespace --skip-crds --history-max 2 --no-hooks"
	n := 0
	if r := run(line{args: upgrade}); r.Code != 0 {
		b.Fatal(r)
	}
	for b.Loop() {
		args := upgrade
		if change {
			n++
			args += fmt.Sprintf(" --set message=m%d", n)
		}
		if r := run(line{args: args}); r.Code != 0 {
			b.Fatal(r)
		}
	}
}
