package tool

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"syscall"
)

// brokenPipe is how a shell reports a program that SIGPIPE has ended.
const brokenPipe = 128 + int(syscall.SIGPIPE)

// EndedByPipe carries out a command as programs run that do not ignore SIGPIPE:
// once nobody reads its output, it ends without another word. Commands that it
// runs itself get the streams as they are.
func EndedByPipe(command Command) Command {
	return func(ctx context.Context, inv Invocation) int {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		var broken atomic.Bool
		stdout := &pipeWriter{inv.Stdout, &broken, cancel}
		stderr := &pipeWriter{inv.Stderr, &broken, cancel}
		inv.Stdout, inv.Stderr = stdout, stderr
		if run := inv.Run; run != nil {
			inv.Run = func(ctx context.Context, inner Invocation) int {
				if w, ok := inner.Stdout.(*pipeWriter); ok {
					inner.Stdout = w.to
				}
				if w, ok := inner.Stderr.(*pipeWriter); ok {
					inner.Stderr = w.to
				}
				return run(ctx, inner)
			}
		}
		code := command(ctx, inv)
		if broken.Load() {
			return brokenPipe
		}
		return code
	}
}

// pipeWriter ends its command with the first write that nobody can read, after
// which the command says nothing more anywhere.
type pipeWriter struct {
	to     io.Writer
	broken *atomic.Bool
	end    context.CancelFunc
}

func (w *pipeWriter) behind() io.Writer { return w.to }

// Write implements io.Writer.
func (w *pipeWriter) Write(p []byte) (int, error) {
	if w.broken.Load() {
		return 0, syscall.EPIPE
	}
	n, err := w.to.Write(p)
	if errors.Is(err, syscall.EPIPE) {
		w.broken.Store(true)
		w.end()
	}
	return n, err
}
