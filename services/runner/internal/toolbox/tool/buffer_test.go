package tool

import (
	"context"
	"fmt"
	"io"
	"testing"
)

// count is a writer that counts the writes.
type count struct{ writes, bytes int }

func (c *count) Write(p []byte) (int, error) {
	c.writes++
	c.bytes += len(p)
	return len(p), nil
}

func TestLinesOfABufferedCommandAreWrittenTogether(t *testing.T) {
	var out count
	code := Buffered(func(_ context.Context, inv Invocation) int {
		for n := range 100 {
			fmt.Fprintln(inv.Stdout, n)
		}
		return 3
	})(t.Context(), Invocation{Stdout: &out, Stderr: io.Discard})
	if code != 3 || out.writes != 1 || out.bytes != 290 {
		t.Errorf("code %d, %d bytes in %d writes", code, out.bytes, out.writes)
	}
}
