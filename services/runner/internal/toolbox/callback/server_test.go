package callback

import (
	"context"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// caller makes one call as a program does and returns the ends that stay.
func caller(t *testing.T, s *Server, run string, message []byte) (request, answer *os.File) {
	t.Helper()
	askR, askW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	ansR, ansW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	n := int(null.Fd())
	rights := unix.UnixRights(n, n, n, int(askR.Fd()), int(ansW.Fd()))
	if err := unix.Sendmsg(int(s.Socket().Fd()), []byte(run), rights, nil, 0); err != nil {
		t.Fatal(err)
	}
	_, _, _ = askR.Close(), ansW.Close(), null.Close()
	_, _ = askW.Write(message) // it fits into the pipe
	t.Cleanup(func() { _, _ = askW.Close(), ansR.Close() })
	return askW, ansR
}

func answered(t *testing.T, answer *os.File) int {
	t.Helper()
	_ = answer.SetReadDeadline(time.Now().Add(time.Minute))
	var code [1]byte
	if _, err := io.ReadFull(answer, code[:]); err != nil {
		t.Fatal(err)
	}
	return int(code[0])
}

func serving(t *testing.T, run tool.Command) (s *Server, name string) {
	t.Helper()
	s, err := NewServer(run)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	_, name, _ = strings.Cut(s.Allow(t.Context(), 3), ":")
	return s, name
}

func TestACallArrivesAsItWasMade(t *testing.T) {
	var got tool.Invocation
	s, run := serving(t, func(_ context.Context, inv tool.Invocation) int { got = inv; return 7 })
	message, err := request{dir: "/work", args: []string{"kubectl", "", "a b"}, environ: []string{"A=1\n2", "B="}}.encode()
	if err != nil {
		t.Fatal(err)
	}
	_, answer := caller(t, s, run, message)
	if code := answered(t, answer); code != 7 {
		t.Errorf("code %d", code)
	}
	want := []string{"kubectl", "/work", "", "a b", "A=1\n2", "B="}
	if diff := cmp.Diff(want, append(append([]string{got.Name, got.Dir}, got.Args...), got.Environ...)); diff != "" {
		t.Error(diff)
	}
}

func TestTheEndOfACallerEndsItsCommand(t *testing.T) {
	ended := make(chan struct{})
	s, run := serving(t, func(ctx context.Context, _ tool.Invocation) int { <-ctx.Done(); close(ended); return 1 })
	message, _ := request{dir: "/", args: []string{"sleep"}}.encode()
	ask, answer := caller(t, s, run, message)
	_ = ask.SetWriteDeadline(time.Now().Add(time.Second))
	_ = answer.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := answer.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Fatalf("answered early: %d, %v", n, err)
	}
	_ = ask.Close()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Error("the command goes on")
	}
}

func TestHostileCallsAreRefused(t *testing.T) {
	s, run := serving(t, func(context.Context, tool.Invocation) int { return 0 })
	good, _ := request{dir: "/", args: []string{"x"}}.encode()
	for name, c := range map[string]struct {
		run     string
		message string
	}{
		"unknown run":        {"nope", string(good)},
		"too long":           {run, "\xff\xff\xff\xff"},
		"no directory":       {run, "\x00\x00\x00\x04\x00" + "1\x00\x00"},
		"relative directory": {run, "\x00\x00\x00\x06" + "d\x001\x00x\x00"},
		"too few arguments":  {run, "\x00\x00\x00\x07" + "/\x0099\x00x\x00"},
		"no arguments":       {run, "\x00\x00\x00\x06" + "/\x000\x00x\x00"},
		"no end":             {run, "\x00\x00\x00\x03" + "/\x001"},
	} {
		_, answer := caller(t, s, c.run, []byte(c.message))
		if code := answered(t, answer); code != exitRefused {
			t.Errorf("%s: code %d", name, code)
		}
	}
	// Packets that are no calls are dropped, and the server goes on.
	for _, packet := range [][]byte{nil, []byte(strings.Repeat("x", 1000))} {
		if err := unix.Sendmsg(int(s.Socket().Fd()), packet, unix.UnixRights(0), nil, 0); err != nil {
			t.Fatal(err)
		}
	}
	_, answer := caller(t, s, run, good)
	if code := answered(t, answer); code != 0 {
		t.Errorf("after hostile calls: code %d", code)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("/\x001\x00x\x00A=1\x00")
	f.Fuzz(func(t *testing.T, body string) {
		if r, err := decode(body); err == nil && (len(r.args) == 0 || !strings.HasPrefix(r.dir, "/")) {
			t.Errorf("%q became %+v", body, r)
		}
	})
}
