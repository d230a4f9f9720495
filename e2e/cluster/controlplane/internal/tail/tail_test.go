package tail

import (
	"fmt"
	"strings"
	"testing"
)

func TestErrorsKeepsTheLastErrorLines(t *testing.T) {
	var e Errors
	records := []string{
		"I0101 00:00:00.000000       1 a.go:1] started\n",
		"E0101 00:00:00.000000       1 a.go:2] \"one\" err=\"x\"\n",
		"W0101 00:00:00.000000       1 a.go:3] careful\n",
		"E0101 00:00:00.000000       1 a.go:4] two\nsecond line of two\n",
		"E0101 00:00:00.000000       1 a.go:5] three\n",
		"F0101 00:00:00.000000       1 a.go:6] four\n",
		"Error without a klog header\n",
	}
	for _, r := range records {
		fmt.Fprint(&e, r)
	}
	if got, want := e.String(), "two | three | four"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestErrorsBoundsALine(t *testing.T) {
	var e Errors
	fmt.Fprint(&e, "E0101 00:00:00.000000       1 a.go:1] "+strings.Repeat("x", 10_000))
	if got := len(e.String()); got != maxBytes {
		t.Errorf("length = %d, want %d", got, maxBytes)
	}
}
