//go:build !race

package worker

import (
	"strings"
	"testing"

	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/ledger/redistest"
)

// TestWhyAProcessDiedIsSaid: in one line, and without a dump.
// (With the race detector a process dies of other things, in other words.)
func TestWhyAProcessDiedIsSaid(t *testing.T) {
	t.Parallel()
	for line, c := range map[string]struct {
		says string
		code int
	}{
		"allocate": {"it ran out of memory", 1},
		"recurse":  {"something in it calls itself without end (stack overflow)", 1},
		"die":      {"(signal: killed): it was ended from outside, most likely because the runner's pod or its node ran out of memory", 137},
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			b := run(t, redistest.New(t), withTools(t, Limits{Memory: 400 << 20}))
			b.put(id, []string{"start", "confine", line})
			res, trace := b.finished(id)
			if res != failed(ledger.ReasonScript, c.code) || !strings.Contains(trace, "ERROR: Job failed: the job's process ended unexpectedly") || !strings.Contains(trace, c.says) {
				t.Errorf("%+v, %q", res, trace)
			}
			if strings.Contains(trace, "goroutine ") || strings.Count(trace, "\n") != 1 {
				t.Errorf("trace = %q", trace)
			}
		})
	}
}
