package egress

import (
	"context"
	"io"
	"net"
	"sync"
	"time"

	"github.com/towline/towline/pkg/service"
)

const (
	// DrainFor is how long what is under way may go on after the process was
	// asked to end. The pod's grace period is 60 s, and what comes after this
	// stage ends within moments.
	DrainFor = 45 * time.Second
	// answeredQuiet is how long a tunnel may be silent while draining after the
	// target spoke last. A Git server that computes says something every 5 s.
	answeredQuiet = 7 * time.Second
	// askedQuiet is the same after the client spoke last: it awaits an answer, to
	// an upload perhaps. A client that merely keeps a connection of HTTP/2 looks
	// alike, so this is not the whole of DrainFor.
	askedQuiet = 20 * time.Second
	// drainLook is how often a drain looks at the open tunnels.
	drainLook = 250 * time.Millisecond
)

// Serve answers on l until ctx ends. Then it accepts nothing more and waits for
// requests and tunnels under way, until over ends. Tunnels over which nothing
// goes any more are closed before that.
func (p *Proxy) Serve(ctx, over context.Context, l net.Listener) error {
	if err := service.ServeUntil(ctx, over, l, p, p.Log); err != nil {
		return err
	}
	if n := p.open.drain(over); n > 0 {
		p.Log.Warn("egress tunnels were cut: the process has to end", "tunnels", n)
	}
	return nil
}

// tunnels are the open ones. The zero value is ready for use.
type tunnels struct {
	mu   sync.Mutex
	open map[*tunnel]struct{}
}

func (s *tunnels) add(up, down net.Conn) *tunnel {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[*tunnel]struct{}{}
	}
	t := &tunnel{up: up, down: down, last: time.Now(), asked: true}
	s.open[t] = struct{}{}
	return t
}

func (s *tunnels) remove(t *tunnel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, t)
}

// drain waits until no tunnel is open, closes those that are quiet meanwhile and
// the others when over ends; it returns how many those were.
func (s *tunnels) drain(over context.Context) int {
	look := time.NewTicker(drainLook)
	defer look.Stop()
	for s.closeQuiet() > 0 {
		select {
		case <-over.Done():
			return s.closeAll()
		case <-look.C:
		}
	}
	return 0
}

// closeQuiet returns how many are still open.
func (s *tunnels) closeQuiet() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for t := range s.open {
		if t.quiet() {
			t.close()
		}
	}
	return len(s.open)
}

func (s *tunnels) closeAll() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for t := range s.open {
		t.close()
	}
	return len(s.open)
}

// tunnel is one that joins a client, down, with a target, up.
type tunnel struct {
	up, down net.Conn

	mu      sync.Mutex
	last    time.Time // when bytes went last
	asked   bool      // the client sent them
	passing int       // ways with bytes that the other side has not taken yet
}

func (t *tunnel) close() { _, _ = t.up.Close(), t.down.Close() }

// quiet says whether a drain need not wait for the tunnel. Bytes that a slow side
// has yet to take are no silence.
func (t *tunnel) quiet() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	limit := answeredQuiet
	if t.asked {
		limit = askedQuiet
	}
	return t.passing == 0 && time.Since(t.last) > limit
}

// carry copies one direction until it ends.
func (t *tunnel) carry(to net.Conn, from io.Reader, client bool) {
	w := &way{t: t, from: from, client: client}
	_, _ = io.Copy(to, w)
	w.taken()
	closeWrite(to)
}

// way is one direction of a tunnel as io.Copy reads it: what one call of Read
// returned has been written when the next one comes.
type way struct {
	t      *tunnel
	from   io.Reader
	client bool // who speaks
	held   bool // bytes that are not written yet
}

// Read implements io.Reader and keeps the tunnel's state.
func (w *way) Read(b []byte) (int, error) {
	w.taken()
	n, err := w.from.Read(b)
	if n > 0 {
		w.t.mu.Lock()
		defer w.t.mu.Unlock()
		w.held, w.t.asked, w.t.last = true, w.client, time.Now()
		w.t.passing++
	}
	return n, err
}

// taken notes that what was read last has been written.
func (w *way) taken() {
	if !w.held {
		return
	}
	w.t.mu.Lock()
	defer w.t.mu.Unlock()
	w.held, w.t.last = false, time.Now()
	w.t.passing--
}
