//go:build integration

package release

import (
	"strconv"
	"testing"
)

// The benchmarks are a run without a change and one with a change, each by the
// engine and by `helm upgrade --install`.

func BenchmarkUnchanged(b *testing.B) { benchmark(b, DriftOff, false) }

func BenchmarkUnchangedWithDrift(b *testing.B) { benchmark(b, DriftCorrect, false) }

func BenchmarkChanged(b *testing.B) { benchmark(b, DriftOff, true) }

func benchmark(b *testing.B, mode DriftMode, change bool) {
	p := newPlace(b)
	spec := p.spec(files(b, webChart()), inline("message", "one"))
	spec.Drift.Mode = mode
	p.must(b, spec, ActionInstall)
	p.must(b, spec)
	n := 0
	for b.Loop() {
		want := []Action(nil)
		if change {
			n++
			spec.Values, want = []Values{inline("message", "m"+strconv.Itoa(n))}, []Action{ActionUpgrade}
		}
		p.must(b, spec, want...)
	}
}

func BenchmarkUnchangedByHelm(b *testing.B) { benchmarkHelm(b, false) }

func BenchmarkChangedByHelm(b *testing.B) { benchmarkHelm(b, true) }

func benchmarkHelm(b *testing.B, change bool) {
	p := newPlace(b)
	upgrade := "upgrade --install web " + files(b, webChart()) + " --history-max 1 --set message=one"
	p.helm(b, upgrade)
	n := 0
	for b.Loop() {
		args := upgrade
		if change {
			n++
			args += strconv.Itoa(n)
		}
		p.helm(b, args)
	}
}
