package pacetest

import (
	"context"
	"net"
	"net/http"
	"time"
)

// Serve answers all requests of the transport that it returns, whatever their
// address. stop ends the server.
func Serve(answer http.Handler) (transport *http.Transport, stop func()) {
	lines := &listener{dialled: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: answer} //nolint:gosec // G112: its client is no attacker
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(lines) }()
	transport = &http.Transport{DialContext: lines.dial}
	return transport, func() {
		transport.CloseIdleConnections()
		_ = server.Close()
		<-done
	}
}

// listener hands over connections in memory.
type listener struct {
	dialled chan net.Conn
	closed  chan struct{}
}

func (l *listener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case l.dialled <- theirs:
		return ours, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.dialled:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *listener) Close() error {
	close(l.closed)
	return nil
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr { return &net.TCPAddr{} }

// Trickle sends text, a few bytes each second.
func Trickle(text []byte, each int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for rest := text; len(rest) > 0; rest = rest[min(each, len(rest)):] {
			if _, err := w.Write(rest[:min(each, len(rest))]); err != nil {
				return
			}
			w.(http.Flusher).Flush()
			select {
			case <-tick.C:
			case <-r.Context().Done():
				return
			}
		}
	}
}

// Stall sends text and then nothing, not even an end.
func Stall(text []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write(text)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}
}

// Silent does not answer at all.
func Silent(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
