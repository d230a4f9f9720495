package egress

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// stoppable serves a yard as the process does, and returns how it is told to end,
// to cut what is left, and when it has ended.
func (y *yard) stoppable() (end, cut func(), ended <-chan error) {
	y.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		y.t.Fatal(err)
	}
	y.addr = l.Addr().String()
	ctx, end := context.WithCancel(y.t.Context())
	over, cut := context.WithCancel(y.t.Context())
	done := make(chan error, 1)
	go func() { done <- y.Serve(ctx, over, l) }()
	return end, cut, done
}

// refused waits until nothing new is accepted.
func (y *yard) refused() {
	y.t.Helper()
	for {
		c, err := net.Dial("tcp", y.addr)
		if err != nil {
			return
		}
		_ = c.Close()
	}
}

func going(t *testing.T, ended <-chan error) {
	t.Helper()
	select {
	case err := <-ended:
		t.Fatalf("it ended while something was under way: %v", err)
	default:
	}
}

// TestTransfersGoOnAcrossTheStop: what a tunnel and a plain request carry arrives
// whole, though most of it is sent after the proxy was told to end.
func TestTransfersGoOnAcrossTheStop(t *testing.T) {
	t.Parallel()
	y := newYard(t, gitlabHost, "plain.example.com:80")
	go1, go2 := make(chan struct{}), make(chan struct{})
	y.listen(gitlabHost, func(c *net.TCPConn) {
		_, _ = io.WriteString(c, "first ")
		<-go1
		_, _ = io.WriteString(c, strings.Repeat("x", 1<<20))
	})
	y.serve("plain.example.com:80", func(w http.ResponseWriter, _ *http.Request) {
		_ = http.NewResponseController(w).Flush()
		<-go2
		_, _ = io.WriteString(w, "plain")
	})
	end, _, ended := y.stoppable()
	tunnel, plain := y.conn(), y.conn()
	if resp := tunnel.send(y.token, http.MethodConnect, gitlabHost); resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}
	resp := plain.send(y.token, http.MethodGet, "http://plain.example.com/")
	end()
	y.refused()
	going(t, ended)
	close(go2)
	if got := text(t, resp); got != "plain" {
		t.Errorf("the plain answer is %q", got)
	}
	going(t, ended)
	close(go1)
	if b, err := io.ReadAll(tunnel.r); err != nil || len(b) != len("first ")+1<<20 {
		t.Errorf("%d bytes came, %v", len(b), err)
	}
	_ = tunnel.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestAnIdleTunnelDoesNotHoldTheProcess: it is kept as it is long before the end.
func TestAnIdleTunnelDoesNotHoldTheProcess(t *testing.T) {
	t.Parallel()
	y := newYard(t, gitlabHost)
	y.listen(gitlabHost, func(c *net.TCPConn) {
		_, _ = io.WriteString(c, "answer")
		_, _ = io.Copy(io.Discard, c)
	})
	end, _, ended := y.stoppable()
	c := y.conn()
	if resp := c.send(y.token, http.MethodConnect, gitlabHost); resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}
	if _, err := io.ReadFull(c.r, make([]byte, len("answer"))); err != nil {
		t.Fatal(err)
	}
	end()
	if err := <-ended; err != nil { // DrainFor does not bound it here: nothing cuts
		t.Error(err)
	}
	if _, err := c.r.ReadByte(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the client's side: %v", err)
	}
}

func TestWhatIsLeftAtTheEndIsCut(t *testing.T) {
	t.Parallel()
	y := newYard(t, gitlabHost)
	y.listen(gitlabHost, func(c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) })
	end, cut, ended := y.stoppable()
	c := y.conn()
	if resp := c.send(y.token, http.MethodConnect, gitlabHost); resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}
	end()
	y.refused()
	going(t, ended)
	cut()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := c.r.ReadByte(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the client's side: %v", err)
	}
}

func TestNothingOpenHoldsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if n := (&tunnels{}).drain(t.Context()); n != 0 || time.Since(began) != 0 {
			t.Errorf("%d cut after %s", n, time.Since(began))
		}
	})
}

// TestQuiet plays what goes over a tunnel, second by second, from the moment on
// at which the drain begins, and looks when it is closed.
func TestQuiet(t *testing.T) {
	const ever = time.Hour
	for name, tt := range map[string]struct {
		client, target time.Duration // each says something so often
		stuck          bool          // the client takes nothing
		want           time.Duration // closed after
	}{
		"nothing is ever said":          {ever, ever, false, askedQuiet},
		"the target spoke last":         {ever, 1500 * time.Millisecond, false, 0},
		"a target that computes":        {ever, 5 * time.Second, false, 0},
		"a target that says too little": {ever, 10 * time.Second, false, 10*time.Second + answeredQuiet},
		"an upload":                     {15 * time.Second, ever, false, 0},
		"a client that takes nothing":   {ever, 5 * time.Second, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, down := net.Pipe()
				target, up := net.Pipe()
				var s tunnels
				tn := s.add(up, down)
				done := make(chan struct{}, 2)
				go func() { tn.carry(up, down, true); done <- struct{}{} }()
				go func() { tn.carry(down, up, false); done <- struct{}{} }()
				if !tt.stuck {
					go func() { _, _ = io.Copy(io.Discard, client) }()
				}
				go func() { _, _ = io.Copy(io.Discard, target) }()
				over, stop := context.WithTimeout(t.Context(), DrainFor)
				defer stop()
				go speak(over, client, tt.client)
				go speak(over, target, tt.target)
				began := time.Now()
				go func() { <-done; <-done; s.remove(tn) }()
				cut := s.drain(over)
				took := time.Since(began)
				if tt.want == 0 && (cut != 1 || took != DrainFor) || tt.want != 0 && (cut != 0 || took < tt.want || took > tt.want+3*drainLook) {
					t.Errorf("ended after %s, %d cut; want %s (0: the whole time)", took, cut, tt.want)
				}
				_, _ = client.Close(), target.Close()
			})
		})
	}
}

func speak(ctx context.Context, c net.Conn, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if _, err := c.Write([]byte("x")); err != nil {
				return
			}
		}
	}
}
