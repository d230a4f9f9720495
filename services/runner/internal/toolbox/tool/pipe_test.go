package tool

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"testing"
)

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = r.Close(), w.Close() })
	return r, w
}

func TestACommandEndsWhenNobodyReadsItsOutput(t *testing.T) {
	r, w := pipe(t)
	_ = r.Close()
	var errs bytes.Buffer
	ended := false
	code := EndedByPipe(func(ctx context.Context, inv Invocation) int {
		if _, err := io.WriteString(inv.Stdout, "text"); err != nil {
			fmt.Fprintln(inv.Stderr, "error:", err)
		}
		ended = ctx.Err() != nil
		return 1
	})(t.Context(), Invocation{Stdout: w, Stderr: &errs})
	if code != 141 || errs.Len() > 0 || !ended {
		t.Errorf("code %d, errors %q, context ended: %t", code, &errs, ended)
	}
}

func TestACommandWhoseOutputIsReadKeepsItsCodeAndWords(t *testing.T) {
	var out, errs bytes.Buffer
	code := EndedByPipe(func(ctx context.Context, inv Invocation) int {
		fmt.Fprint(inv.Stdout, "out")
		fmt.Fprint(inv.Stderr, "err")
		if ctx.Err() != nil {
			t.Error("the context has ended")
		}
		return 3
	})(t.Context(), Invocation{Stdout: &out, Stderr: &errs})
	if code != 3 || out.String() != "out" || errs.String() != "err" {
		t.Errorf("%d %q %q", code, &out, &errs)
	}
}

// TestInnerCommandsGetTheStreamsThemselves: programs inherit files.
func TestInnerCommandsGetTheStreamsThemselves(t *testing.T) {
	_, w := pipe(t)
	var errs bytes.Buffer
	var got Invocation
	inv := Invocation{Stdout: w, Stderr: &errs, Run: func(_ context.Context, inner Invocation) int {
		got = inner
		return 5
	}}
	run := func(ctx context.Context, inv Invocation) int { return inv.Run(ctx, inv) }
	if code := EndedByPipe(run)(t.Context(), inv); code != 5 || got.Stdout != io.Writer(w) || got.Stderr != io.Writer(&errs) {
		t.Errorf("code %d, streams %T %T", code, got.Stdout, got.Stderr)
	}
}
