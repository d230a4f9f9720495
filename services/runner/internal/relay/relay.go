package relay

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/towline/towline/pkg/retry"
)

// Limits of the relay.
const (
	dialTimeout    = 10 * time.Second
	maxConnections = 512
	// halfOpen is how long one direction may stay open alone: a job process that
	// died says nothing of it to a proxy that is silent.
	halfOpen = 10 * time.Minute
	// acceptPause follows a failed accept, for want of descriptors most likely.
	acceptPause = 100 * time.Millisecond
	// dialFor is how long the proxy may be away before a job hears of it: a
	// Service has no endpoint for a moment after a tunnel became ready, and for
	// some probes after Redis was away. Nothing has been sent yet, so that to dial
	// again is safe.
	dialFor = 30 * time.Second
	// drainFor and maxDrained bound what is read of a job that hears that the
	// proxy is away.
	drainFor, maxDrained = time.Second, 64 << 10
)

// away is the answer to a job's first request to a proxy that cannot be reached:
// it speaks HTTP, and shows the reason to whoever asked.
const away = "HTTP/1.1 503 the tunnel's egress proxy does not answer; the log of the runner says why\r\n" +
	"Content-Length: 0\r\nConnection: close\r\n\r\n"

var redial = retry.Policy{Min: 100 * time.Millisecond, Max: 2 * time.Second}

// Relay copies between connections to Listener and new connections to Target.
type Relay struct {
	Listener net.Listener
	Target   string // host:port of the egress proxy
	// Dial connects to Target; nil is without TLS.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	Log  *slog.Logger
}

// Run accepts connections until ctx ends, and then closes all of them. Nothing
// that a job does ends it.
func (r *Relay) Run(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { _ = r.Listener.Close() })()
	var open sync.WaitGroup
	defer open.Wait()
	slots := make(chan struct{}, maxConnections)
	for {
		c, err := r.Listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			r.Log.Warn("no connection of a job accepted", "error", err.Error())
			retry.Sleep(ctx, acceptPause)
			continue
		}
		select {
		case slots <- struct{}{}:
		default:
			_ = c.Close() // one job cannot take all descriptors
			continue
		}
		open.Go(func() {
			defer func() { <-slots }()
			r.join(ctx, c)
		})
	}
}

func (r *Relay) join(ctx context.Context, down net.Conn) {
	defer down.Close()
	up, err := r.reach(ctx)
	if err != nil {
		r.Log.Warn("the tunnel's egress proxy does not answer", "address", r.Target, "error", err.Error())
		refuse(down)
		return
	}
	defer up.Close()
	defer context.AfterFunc(ctx, func() { _, _ = down.Close(), up.Close() })()
	var both sync.WaitGroup
	both.Go(func() { copyHalf(up, down) })
	both.Go(func() { copyHalf(down, up) })
	both.Wait()
}

// reach connects to the proxy, again and again for dialFor. A certificate that is
// not trusted is no exception: the authority's file may follow in a moment.
func (r *Relay) reach(ctx context.Context) (net.Conn, error) {
	dial := r.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: dialTimeout}).DialContext
	}
	ctx, cancel := context.WithTimeout(ctx, dialFor)
	defer cancel()
	var up net.Conn
	var failure error
	redial.Loop(ctx, func(ctx context.Context) retry.Result {
		c, err := dial(ctx, "tcp", r.Target)
		if err == nil {
			up, failure = c, nil
			return retry.Result{Outcome: retry.Done}
		}
		if failure == nil || ctx.Err() == nil { // and not that the time is over
			failure = err
		}
		return retry.Result{Outcome: retry.Failed}
	})
	return up, failure
}

// refuse tells a job that there is no proxy. What it sent is read first: to close
// on unread bytes would take the answer back.
func refuse(down net.Conn) {
	_ = down.SetDeadline(time.Now().Add(drainFor))
	_, _ = io.WriteString(down, away)
	if t, ok := down.(interface{ CloseWrite() error }); ok {
		_ = t.CloseWrite()
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(down, maxDrained))
}

// copyHalf copies until from ends, and passes the end on. The other direction
// may go on for a while, unless this one broke off.
func copyHalf(to, from net.Conn) {
	if _, err := io.Copy(to, from); err != nil {
		_, _ = to.Close(), from.Close()
		return
	}
	if t, ok := to.(interface{ CloseWrite() error }); ok { // TCP and TLS
		_ = t.CloseWrite()
	}
	_ = to.SetReadDeadline(time.Now().Add(halfOpen))
}
