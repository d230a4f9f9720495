package redistest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"
)

// Losing is a client, which tries again once. So many commands that name a key
// happen, and then the connection is cut before the answer.
func (s *Server) Losing(tb testing.TB, key string, answers int) *redis.Client {
	opts := *s.Client().Options()
	opts.MaxRetries = 1
	lost := new(atomic.Int64)
	opts.Dialer = func(ctx context.Context, network, address string) (net.Conn, error) {
		var d net.Dialer
		conn, err := d.DialContext(ctx, network, address)
		return &losing{Conn: conn, lose: func(command []byte) bool {
			return bytes.Contains(command, []byte(key)) && lost.Add(1) <= int64(answers)
		}}, err
	}
	client := redis.NewClient(&opts)
	tb.Cleanup(func() { _ = client.Close() })
	return client
}

type losing struct {
	net.Conn
	lose func(command []byte) bool
	cut  bool
}

// Write implements net.Conn.
func (c *losing) Write(p []byte) (int, error) {
	c.cut = c.lose(p)
	return c.Conn.Write(p)
}

// Read implements net.Conn.
func (c *losing) Read(p []byte) (int, error) {
	if !c.cut {
		return c.Conn.Read(p)
	}
	if _, err := c.Conn.Read(p); err != nil { // by now it has happened
		return 0, err
	}
	return 0, errors.Join(io.EOF, c.Close())
}
