package redistest

import (
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

var shared struct {
	mu     sync.Mutex
	server *Server
	users  int
}

// New returns the server that all tests of the process share; it ends with the
// last test that uses it. Each test takes keys under its own Prefix.
func New(tb testing.TB) *Server {
	tb.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.server == nil {
		s, err := Start(tb.Context(), Options{})
		if err != nil {
			tb.Fatal(err)
		}
		s.shared = true
		shared.server = s
	}
	shared.users++
	tb.Cleanup(release)
	return shared.server
}

func release() {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.users--; shared.users == 0 {
		_ = shared.server.close()
		shared.server = nil
	}
}

// Private returns a server of the test's own, to stop, pause or flush.
func Private(tb testing.TB) *Server {
	tb.Helper()
	s, err := Start(tb.Context(), Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

var prefixes atomic.Int64

// Prefix returns a key prefix that no other test of the process has. It holds
// no braces, which would change the hash tags of the keys.
func Prefix(tb testing.TB) string {
	clean := func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_':
			return r
		}
		return '_'
	}
	return strings.Map(clean, tb.Name()) + "-" + strconv.FormatInt(prefixes.Add(1), 10)
}
