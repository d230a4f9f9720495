package joblog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/towline/towline/pkg/joblines"
	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/retry"
)

// Pauses of the flusher.
const (
	// gather is how long output is collected before it goes to the ledger; the
	// first bytes go at once.
	gather = 100 * time.Millisecond
	// maxPiece is the most that goes in one call.
	maxPiece = 256 << 10
)

// Sink takes the numbered bytes; *ledger.Ledger is one.
type Sink interface {
	Append(ctx context.Context, id int64, runner string, offset int64, data []byte) error
}

// Config is what a Log needs.
type Config struct {
	Job      int64
	Runner   string
	Sink     Sink
	Limit    int64    // bytes of output; the notice comes on top
	Base     int64    // bytes that an earlier runner wrote
	Phrases  []string // values to mask
	Prefixes []string // token prefixes to mask, beside the usual ones
	// Timestamps puts time and stream in front of every line. It must be the same
	// for all who write to the job's log.
	Timestamps bool
}

// Log takes a job's output. Its methods are safe for concurrent use. The runner
// itself and the script speak in turns, the script's output and errors at the
// same time.
type Log struct {
	cfg Config

	mu     sync.Mutex
	runner *stream
	script [2]*stream // output and errors
	data   []byte     // everything that has an offset, from Base on
	sent   int64      // the offset from which on the sink has nothing
	cut    bool       // the limit is reached
	closed bool
	more   chan struct{}
}

// New returns an empty Log.
func New(cfg Config) *Log {
	l := &Log{cfg: cfg, sent: cfg.Base, more: make(chan struct{}, 1)}
	hidden := newSecrets(cfg.Phrases, cfg.Prefixes)
	l.runner = newStream(hidden, joblines.Runner, cfg.Timestamps)
	l.script = [2]*stream{newStream(hidden, joblines.Output, cfg.Timestamps), newStream(hidden, joblines.Errors, cfg.Timestamps)}
	return l
}

// Write takes lines of the runner itself; it never fails. What the script has
// begun ends here.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.script {
		l.keep(s.end())
	}
	l.keep(l.runner.write(p))
	return len(p), nil
}

// Output is where the script's standard output goes, Errors where its errors go.
func (l *Log) Output() io.Writer { return scriptWriter{l, l.script[0]} }

// Errors is the script's standard error.
func (l *Log) Errors() io.Writer { return scriptWriter{l, l.script[1]} }

// scriptWriter is one of the script's streams.
type scriptWriter struct {
	l *Log
	s *stream
}

// Write implements io.Writer; it never fails.
func (w scriptWriter) Write(p []byte) (int, error) {
	w.l.mu.Lock()
	defer w.l.mu.Unlock()
	w.l.keep(w.l.runner.end())
	w.l.keep(w.s.write(p))
	return len(p), nil
}

// Printf writes a line of the runner itself.
func (l *Log) Printf(format string, args ...any) {
	fmt.Fprintf(l, format+"\n", args...)
}

// Close ends the log: what was held back is added, and nothing after it.
func (l *Log) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	for _, s := range append(l.script[:], l.runner) {
		l.keep(s.end())
	}
	l.closed = true
	l.signal()
}

// keep numbers bytes unless the log takes no more.
func (l *Log) keep(p []byte) {
	if !l.closed && !l.cut {
		l.add(p)
	}
}

// add numbers bytes, up to the limit (runner-api sheet, section 7).
func (l *Log) add(p []byte) {
	if len(p) == 0 {
		return
	}
	if room := l.cfg.Limit - l.cfg.Base - int64(len(l.data)); int64(len(p)) > room {
		p = p[:max(room, 0)]
		for len(p) > 0 && !utf8.Valid(p) {
			p = p[:len(p)-1]
		}
		p = fmt.Appendf(append([]byte(nil), p...), "\n\x1b[33;1mJob's log exceeded limit of %d bytes.\nJob execution will continue but no more output will be collected.\x1b[0;m\n", l.cfg.Limit)
		l.cut = true
	}
	l.data = append(l.data, p...)
	l.signal()
}

func (l *Log) signal() {
	select {
	case l.more <- struct{}{}:
	default:
	}
}

// Size is the number of bytes that have an offset.
func (l *Log) Size() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cfg.Base + int64(len(l.data))
}

// Rewind has the next Ship begin again: the sink has lost the log, or may have.
// What it still has is not sent twice. A Ship that waits for output begins at
// once.
func (l *Log) Rewind() {
	l.shipped(0)
	l.signal()
}

// Ship sends the log to the sink until it is closed and all of it has arrived.
// While the sink does not answer it tries again; it gives up only when ctx
// ends. ErrLost comes back when the job belongs to somebody else.
func (l *Log) Ship(ctx context.Context) error {
	failures := retry.Policy{Min: 100 * time.Millisecond, Max: 2 * time.Second}
	failed := 0
	for {
		piece, offset, cut, done := l.next()
		if len(piece) == 0 {
			if done {
				return nil
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-l.more:
			}
			continue
		}
		err := l.cfg.Sink.Append(ctx, l.cfg.Job, l.cfg.Runner, offset, piece)
		var rewind *ledger.RangeError
		switch {
		case err == nil:
			failed = 0
			l.shipped(offset + int64(len(piece)))
			if !cut && !l.rest(ctx, offset) {
				return ctx.Err()
			}
			continue
		case errors.Is(err, ledger.ErrLost), errors.Is(err, ledger.ErrState):
			return err
		case errors.As(err, &rewind) && rewind.Size == offset:
			return errors.New("the ledger takes no more of this job's log")
		case errors.As(err, &rewind):
			l.shipped(rewind.Size)
		}
		failed++
		if !retry.Sleep(ctx, failures.Backoff(failed)) {
			return ctx.Err()
		}
	}
}

// rest gathers output for a moment, unless the log is complete. The first piece
// is followed at once.
func (l *Log) rest(ctx context.Context, offset int64) bool {
	l.mu.Lock()
	closed := l.closed
	l.mu.Unlock()
	if closed || offset == l.cfg.Base {
		return ctx.Err() == nil
	}
	t := time.NewTimer(gather)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-t.C:
			return true
		case <-l.more:
			l.mu.Lock()
			closed = l.closed
			l.mu.Unlock()
			if closed {
				return true
			}
		}
	}
}

// next is the next piece to ship; cut says that more is there already, done that
// nothing is and nothing will be.
func (l *Log) next() (piece []byte, offset int64, cut, done bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sent < l.cfg.Base {
		return filler(l.sent, l.cfg.Base), l.sent, true, false
	}
	rest := l.data[l.sent-l.cfg.Base:]
	if len(rest) <= maxPiece {
		return rest, l.sent, false, l.closed && len(rest) == 0
	}
	piece = rest[:maxPiece]
	// Were this the last piece that arrives, somebody else would go on after it:
	// better behind a whole line.
	if end := bytes.LastIndexByte(piece, '\n'); l.cfg.Timestamps && end >= 0 {
		piece = piece[:end+1]
	}
	return piece, l.sent, true, false
}

// filler stands in for what an earlier runner wrote, once Redis has lost it:
// offsets that GitLab has acknowledged must stay what they are.
func filler(from, base int64) []byte {
	p := bytes.Repeat([]byte{' '}, int(min(base-from, maxPiece)))
	if from+int64(len(p)) == base {
		p[len(p)-1] = '\n'
	}
	return p
}

// shipped moves to an offset that the sink named, within what there is.
func (l *Log) shipped(offset int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent = min(max(offset, 0), l.cfg.Base+int64(len(l.data)))
}
