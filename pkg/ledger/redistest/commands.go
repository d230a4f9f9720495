package redistest

import (
	"strings"
	"sync"
	"testing"
)

// Commands listens to a server until the test ends: the function it returns has
// all commands that the server has been sent since, a line each.
func Commands(tb testing.TB, s *Server) (sent func() string) {
	var mu sync.Mutex
	var seen strings.Builder
	lines := make(chan string, 1024)
	m := s.Client().Conn().Monitor(tb.Context(), lines)
	// The client holds its lock while it waits for a command, so both Start and
	// Stop wait for one, too.
	_ = s.Client().Ping(tb.Context())
	m.Start()
	go func() {
		for l := range lines {
			mu.Lock()
			seen.WriteString(l + "\n")
			mu.Unlock()
		}
	}()
	tb.Cleanup(func() { go m.Stop() })
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		return seen.String()
	}
}
