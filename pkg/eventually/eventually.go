package eventually

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

const (
	// Within is how long a test waits: far longer than anything should take, for
	// machines that are slow or busy.
	Within = time.Minute
	every  = 5 * time.Millisecond
)

// Is waits until ok, and ends the test when that takes longer than Within. what is
// then said of it, and more, such as a log, as it is by then.
func Is(tb testing.TB, what string, ok func() bool, more ...fmt.Stringer) {
	tb.Helper()
	tick := time.NewTicker(every)
	defer tick.Stop()
	deadline := time.After(Within)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			var text strings.Builder
			for _, m := range more {
				text.WriteString("\n" + m.String())
			}
			tb.Fatalf("still not so: %s%s", what, text.String())
		}
	}
}
