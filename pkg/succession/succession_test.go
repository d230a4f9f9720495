package succession_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/towline/towline/pkg/succession"
)

func TestLine(t *testing.T) {
	const almost = succession.Settle - time.Second
	synctest.Test(t, func(t *testing.T) {
		var line succession.Line[string]
		for n, step := range []struct {
			after time.Duration
			keys  string // "" is as before
			want  string
		}{
			{0, "a", "a"},
			{0, "b a", "a"},
			{almost, "", "a"},
			{0, "b a", "a"}, // read again: nothing begins anew
			{time.Second, "", "b"},
			{0, "b", "b"},
			{0, "c b", "b"},
			{almost, "d c b", "b"}, // a newer one takes its own time
			{almost, "", "b"},
			{time.Second, "", "d"},
			{0, "e d", "d"},
			{0, "d e", "d"}, // taken back
			{succession.Settle, "", "d"},
			{0, "f", "f"}, // nothing else is left
			{0, "h g", "h"},
		} {
			time.Sleep(step.after)
			if step.keys != "" {
				line.Put(strings.Fields(step.keys), func(a, b string) bool { return a == b })
			}
			if got := line.InUse(); got != step.want {
				t.Errorf("step %d: %s is in use, want %s", n, got, step.want)
			}
		}
	})
}
