package redistest_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/towline/towline/pkg/eventually"
	"github.com/towline/towline/pkg/ledger/redistest"
)

func TestServerWantsItsPasswordAndSavesNothing(t *testing.T) {
	s := redistest.New(t)
	if !regexp.MustCompile(`^redis://:[A-Z0-9]+@127\.0\.0\.1:\d+/0$`).MatchString(s.URL) {
		t.Errorf("URL = %s", s.URL)
	}
	stranger := redis.NewClient(&redis.Options{Addr: s.Client().Options().Addr})
	defer stranger.Close()
	if err := stranger.Ping(t.Context()).Err(); err == nil || !strings.Contains(err.Error(), "NOAUTH") {
		t.Errorf("without password: %v, want NOAUTH", err)
	}
	for _, setting := range []string{"save", "appendonly"} {
		v, err := s.Client().ConfigGet(t.Context(), setting).Result()
		if err != nil || (v[setting] != "" && v[setting] != "no") {
			t.Errorf("%s = %q, %v; want it off", setting, v[setting], err)
		}
	}
}

func TestNewSharesOneServerAndPrefixesDiffer(t *testing.T) {
	a, b := redistest.New(t), redistest.New(t)
	if a != b {
		t.Error("two servers in one process")
	}
	t.Run("odd {name}: x/y", func(t *testing.T) {
		p, q := redistest.Prefix(t), redistest.Prefix(t)
		if p == q || strings.ContainsAny(p, "{}:/ ") {
			t.Errorf("prefixes %q and %q", p, q)
		}
	})
	for name, breaks := range map[string]func(){
		"Stop":    func() { _ = a.Stop() },
		"Restart": func() { _ = a.Restart(t.Context()) },
		"Pause":   func() { _ = a.Pause() },
		"Resume":  func() { _ = a.Resume() },
		"Flush":   func() { _ = a.Flush(t.Context()) },
		"Close":   func() { _ = a.Close() },
	} {
		t.Run(name+" of the shared server panics", func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			breaks()
		})
	}
}

func TestFailuresOfAPrivateServer(t *testing.T) {
	s := redistest.Private(t)
	client := func(patience time.Duration) *redis.Client {
		return redis.NewClient(&redis.Options{
			Addr: s.Client().Options().Addr, Password: s.Client().Options().Password,
			ReadTimeout: patience, MaxRetries: -1, DialerRetries: 1,
		})
	}
	c, hasty := client(eventually.Within), client(100*time.Millisecond)
	defer c.Close()
	defer hasty.Close()
	set := func() error { return c.Set(t.Context(), "k", "v", 0).Err() }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	empty := func(after string) {
		t.Helper()
		if n, err := c.DBSize(t.Context()).Result(); err != nil || n != 0 {
			t.Errorf("after %s: %d keys, %v; want none", after, n, err)
		}
	}
	must(set())
	must(s.Flush(t.Context()))
	empty("Flush")

	must(set())
	must(s.Pause())
	var timeout net.Error
	if err := hasty.Ping(t.Context()).Err(); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("paused: %v, want a timeout", err)
	}
	must(s.Resume())
	must(set())

	must(s.Stop())
	if err := set(); err == nil {
		t.Error("a stopped server answers")
	}
	if err := s.Pause(); err == nil {
		t.Error("a stopped server can be paused")
	}
	must(s.Restart(t.Context()))
	empty("Restart")
	must(set())
	must(s.Restart(t.Context()))
}

func TestStartFails(t *testing.T) {
	t.Run("saying how to install what is missing", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		_, err := redistest.Start(t.Context(), redistest.Options{})
		if !errors.Is(err, redistest.ErrNotInstalled) {
			t.Fatalf("error = %v", err)
		}
		if want := "redis-server is not installed; install it with: apt-get install redis-server"; err.Error() != want {
			t.Errorf("error = %q, want %q", err, want)
		}
	})
	t.Run("with what the server said", func(t *testing.T) {
		_, err := redistest.Start(t.Context(), redistest.Options{Config: []string{"no-such-directive 1"}})
		if err == nil || !strings.Contains(err.Error(), "no-such-directive") {
			t.Errorf("error = %v", err)
		}
	})
	t.Run("when the port is taken", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		_, err = redistest.Start(t.Context(), redistest.Options{Port: l.Addr().(*net.TCPAddr).Port})
		if err == nil {
			t.Error("started on a port that is taken")
		}
	})
	t.Run("when the context has ended", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := redistest.Start(ctx, redistest.Options{}); !errors.Is(err, context.Canceled) {
			t.Errorf("error = %v, want context.Canceled", err)
		}
	})
}

// TestServerDiesWithItsParent starts this test binary as a parent of a server
// and kills it without giving it time to clean up.
func TestServerDiesWithItsParent(t *testing.T) {
	if os.Getenv("REDISTEST_CHILD") != "" {
		s, err := redistest.Start(t.Context(), redistest.Options{})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println("addr", s.Client().Options().Addr)
		select {}
	}
	if runtime.GOOS != "linux" {
		t.Skip("only Linux kills children with their parent")
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestServerDiesWithItsParent$")
	cmd.Env = append(os.Environ(), "REDISTEST_CHILD=1", "TMPDIR="+t.TempDir())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	addr := ""
	for sc := bufio.NewScanner(out); addr == "" && sc.Scan(); {
		addr, _ = strings.CutPrefix(sc.Text(), "addr ")
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if !strings.HasPrefix(addr, "127.0.0.1:") {
		t.Fatalf("child reported address %q", addr)
	}
	deadline := time.Now().Add(time.Minute)
	for {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		_ = conn.Close()
		if time.Now().After(deadline) {
			t.Fatalf("server at %s outlives its parent", addr)
		}
	}
}

func TestCommands(t *testing.T) {
	s := redistest.New(t)
	sent := redistest.Commands(t, s)
	eventually.Is(t, "a command is heard", func() bool {
		if err := s.Client().Set(t.Context(), "key", "value", 0).Err(); err != nil {
			t.Fatal(err)
		}
		return strings.Contains(sent(), `"set" "key" "value"`)
	})
}
