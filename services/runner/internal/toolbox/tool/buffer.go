package tool

import (
	"bufio"
	"context"
)

// outputBuffer is what the C library collects before it writes to a pipe.
const outputBuffer = 4 << 10

// Buffered carries out a command whose original is a C program: those write to
// anything but a terminal in pieces and not line by line, so that `git tag |
// head -1` does not end with a broken pipe.
func Buffered(command Command) Command {
	return func(ctx context.Context, inv Invocation) int {
		out := bufio.NewWriterSize(inv.Stdout, outputBuffer)
		inv.Stdout = out
		code := command(ctx, inv)
		_ = out.Flush() // a reader that has gone is no fault; EndedByPipe sees it
		return code
	}
}
