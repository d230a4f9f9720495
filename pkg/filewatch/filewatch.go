package filewatch

import (
	"context"
	"sync"
	"time"
)

// Interval is how often files are read.
const Interval = time.Second

// Run calls look at once and then each Interval, until ctx ends.
func Run(ctx context.Context, look func()) error {
	t := time.NewTicker(Interval)
	defer t.Stop()
	for {
		look()
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// Last is the last good of what was made of files. The zero Last has none; it is
// safe for concurrent use.
type Last[T any] struct {
	looking sync.Mutex // one look at a time
	seen    string     // the state that was found last

	mu    sync.Mutex
	value T
	err   error // why what is there is not in force
}

// Read reads files, of which known is the state that was found last, "" at
// first. The state tells what was read, or why it could not be, from anything
// else; parse makes a value of it.
type Read[T any] func(known string) (state string, parse func() (T, error))

// Look reads files. If their state is another than the last time, it makes a
// value of it and tells news, as Get would.
func (l *Last[T]) Look(read Read[T], news func(T, error)) {
	l.looking.Lock()
	defer l.looking.Unlock()
	state, parse := read(l.seen)
	if state == l.seen {
		return
	}
	l.seen = state
	value, err := parse()
	l.mu.Lock()
	if err == nil {
		l.value = value
	}
	l.err = err
	value = l.value
	l.mu.Unlock()
	news(value, err)
}

// Get is the value in force, the zero value when there never was one, and why
// what the files hold now is not, nil when it is.
func (l *Last[T]) Get() (T, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.value, l.err
}
