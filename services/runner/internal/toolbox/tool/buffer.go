package tool

import (
	"bufio"
	"context"
	"io"
)

// outputBuffer is what the C library collects before it writes to a pipe.
const outputBuffer = 4 << 10

// buffered is an output with what it writes to.
type buffered struct {
	*bufio.Writer
	of io.Writer
}

func (b buffered) behind() io.Writer { return b.of }

// Buffered carries out a command whose original is a C program: those write to
// anything but a terminal in pieces and not line by line, so that `git tag |
// head -1` does not end with a broken pipe.
func Buffered(command Command) Command {
	return func(ctx context.Context, inv Invocation) int {
		out := buffered{Writer: bufio.NewWriterSize(inv.Stdout, outputBuffer), of: inv.Stdout}
		inv.Stdout = out
		code := command(ctx, inv)
		_ = out.Flush() // a reader that has gone is no fault; EndedByPipe sees it
		return code
	}
}
