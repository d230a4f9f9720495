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
)

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
	dial := r.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: dialTimeout}).DialContext
	}
	up, err := dial(ctx, "tcp", r.Target)
	if err != nil {
		r.Log.Warn("the tunnel's egress proxy does not answer", "address", r.Target, "error", err.Error())
		return
	}
	defer up.Close()
	defer context.AfterFunc(ctx, func() { _, _ = down.Close(), up.Close() })()
	var both sync.WaitGroup
	both.Go(func() { copyHalf(up, down) })
	both.Go(func() { copyHalf(down, up) })
	both.Wait()
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
