package rig

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
)

// Balancer is what a Service is in a cluster: one address for several replicas.
// A new connection goes to one after the other; those that are open stay where
// they are.
type Balancer struct {
	// Address is where it listens.
	Address string

	mu      sync.Mutex
	targets []string
	next    int
	wg      sync.WaitGroup
}

// NewBalancer starts one without replicas, which takes connections and closes
// them, until the test ends.
func NewBalancer(tb testing.TB) *Balancer {
	tb.Helper()
	l, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	b := &Balancer{Address: l.Addr().String()}
	ctx, stop := context.WithCancel(context.Background())
	b.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b.wg.Go(func() { b.serve(ctx, c) })
		}
	})
	tb.Cleanup(func() {
		stop()
		_ = l.Close()
		b.wg.Wait()
	})
	return b
}

// To names the replicas that get connections from now on.
func (b *Balancer) To(targets ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.targets = targets
}

func (b *Balancer) pick() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.targets) == 0 {
		return ""
	}
	b.next++
	return b.targets[b.next%len(b.targets)]
}

func (b *Balancer) serve(ctx context.Context, from net.Conn) {
	defer from.Close()
	to, err := (&net.Dialer{}).DialContext(ctx, "tcp", b.pick())
	if err != nil {
		return
	}
	defer to.Close()
	stop := context.AfterFunc(ctx, func() { _ = from.Close(); _ = to.Close() })
	defer stop()
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(from, to)
		_ = from.Close()
	})
	_, _ = io.Copy(to, from)
	_ = to.(*net.TCPConn).CloseWrite()
	back.Wait()
}
