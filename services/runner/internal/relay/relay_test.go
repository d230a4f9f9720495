package relay

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/towline/towline/pkg/outputtest"
)

const patience = time.Minute

// serve runs a relay to target and returns its address and what stops it.
func serve(t *testing.T, target string, wrap func(net.Listener) net.Listener) (addr string, log *outputtest.Buffer, stop func()) {
	t.Helper()
	l := listen(t)
	addr, log = l.Addr().String(), &outputtest.Buffer{}
	if wrap != nil {
		l = wrap(l)
	}
	r := &Relay{Listener: l, Target: target, Log: slog.New(slog.NewTextHandler(log, nil))}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(patience):
			t.Error("the relay does not end")
		}
	})
	t.Cleanup(stop)
	return addr, log, stop
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func dial(t *testing.T, addr string) *net.TCPConn {
	t.Helper()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c.(*net.TCPConn)
}

// proxy answers each connection with handle.
func proxy(t *testing.T, handle func(*net.TCPConn)) string {
	t.Helper()
	l := listen(t)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				handle(c.(*net.TCPConn))
			}()
		}
	}()
	return l.Addr().String()
}

func echo(c *net.TCPConn) { _, _ = io.Copy(c, c) }

func TestBytesGoBothWays(t *testing.T) {
	addr, _, _ := serve(t, proxy(t, echo), nil)
	const size = 4 << 20
	c := dial(t, addr)
	sent := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	go func() {
		_, _ = c.Write(sent)
		_ = c.CloseWrite() // the other half stays open
	}()
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%d bytes back, %v", len(got), err)
	}
}

func TestTheProxySeesTheHalfThatIsClosed(t *testing.T) {
	addr, _, _ := serve(t, proxy(t, func(c *net.TCPConn) {
		got, _ := io.ReadAll(c) // to its end
		_, _ = c.Write(append([]byte("all of "), got...))
	}), nil)
	c := dial(t, addr)
	_, _ = c.Write([]byte("it"))
	_ = c.CloseWrite()
	if got, err := io.ReadAll(c); err != nil || string(got) != "all of it" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestTheJobSeesTheHalfThatIsClosed(t *testing.T) {
	got := make(chan string, 1)
	addr, _, _ := serve(t, proxy(t, func(c *net.TCPConn) {
		_, _ = c.Write([]byte("bye"))
		_ = c.CloseWrite()
		b, _ := io.ReadAll(c)
		got <- string(b)
	}), nil)
	c := dial(t, addr)
	if b, err := io.ReadAll(c); err != nil || string(b) != "bye" {
		t.Errorf("%q, %v", b, err)
	}
	_, _ = c.Write([]byte("still here"))
	_ = c.Close()
	if s := <-got; s != "still here" {
		t.Errorf("the proxy got %q", s)
	}
}

// pipes is a listener whose connections never leave the process, so that waits
// take no time.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	c, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (p pipes) Close() error   { close(p); return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// asks sends a request by a relay whose proxy is away for so long, and returns
// the answer, how long it took and what the relay logged.
func asks(t *testing.T, awayFor time.Duration) (answer *http.Response, took time.Duration, log string) {
	t.Helper()
	began := time.Now()
	dial := func(context.Context, string, string) (net.Conn, error) {
		if time.Since(began) < awayFor {
			return nil, syscall.ECONNREFUSED
		}
		here, there := net.Pipe()
		go func() {
			defer there.Close()
			if _, err := http.ReadRequest(bufio.NewReader(there)); err == nil {
				_, _ = io.WriteString(there, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			}
		}()
		return here, nil
	}
	l, out := pipes(make(chan net.Conn)), &outputtest.Buffer{}
	r := &Relay{Listener: l, Target: "egress:8082", Dial: dial, Log: slog.New(slog.NewTextHandler(out, nil))}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	job, accepted := net.Pipe()
	defer job.Close()
	l <- accepted
	go func() {
		_, _ = io.WriteString(job, "CONNECT gitlab.example.com:443 HTTP/1.1\r\nHost: gitlab.example.com:443\r\n\r\n")
	}()
	answer, err := http.ReadResponse(bufio.NewReader(job), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	took = time.Since(began)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	return answer, took, out.String()
}

func TestAProxyThatComesBackIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const awayFor = 20 * time.Second
		answer, took, log := asks(t, awayFor)
		if answer.StatusCode != http.StatusOK || took < awayFor || took > awayFor+redial.Max || log != "" {
			t.Errorf("%s after %s; log: %s", answer.Status, took, log)
		}
	})
}

func TestAProxyThatStaysAwayIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer, took, log := asks(t, time.Hour)
		if answer.StatusCode != http.StatusServiceUnavailable || !strings.Contains(answer.Status, "egress proxy does not answer") || took > dialFor+drainFor {
			t.Errorf("%s after %s", answer.Status, took)
		}
		for _, want := range []string{"egress proxy does not answer", "egress:8082", syscall.ECONNREFUSED.Error()} {
			if !strings.Contains(log, want) {
				t.Errorf("the log does not say %q: %s", want, log)
			}
		}
	})
}

func TestStoppingClosesEverything(t *testing.T) {
	addr, _, stop := serve(t, proxy(t, echo), nil)
	c := dial(t, addr)
	_, _ = c.Write([]byte("x"))
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	stop()
	if _, err := io.ReadAll(c); isTimeout(err) {
		t.Error("the connection is left open")
	}
	if _, err := (&net.Dialer{Timeout: time.Second}).DialContext(t.Context(), "tcp", addr); err == nil {
		t.Error("the port is left open")
	}
}

func TestTheNumberOfConnectionsIsLimited(t *testing.T) {
	var open atomic.Int64
	hold := make(chan struct{})
	addr, _, _ := serve(t, proxy(t, func(c *net.TCPConn) {
		open.Add(1)
		_, _ = c.Write([]byte("x"))
		<-hold
	}), nil)
	end := sync.OnceFunc(func() { close(hold) })
	defer end()
	var all []*net.TCPConn
	for range maxConnections {
		c := dial(t, addr)
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			t.Fatalf("connection %d: %v", len(all), err)
		}
		all = append(all, c)
	}
	if b, err := io.ReadAll(dial(t, addr)); len(b) != 0 || isTimeout(err) {
		t.Errorf("one too many: %q, %v", b, err)
	}
	end()
	for _, c := range all {
		_ = c.Close()
	}
	deadline := time.Now().Add(patience)
	for { // a slot is free as soon as the relay has noticed
		c := dial(t, addr)
		if n, _ := c.Read(make([]byte, 1)); n == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the slot of a closed connection is not free again")
		}
	}
}

// faulty fails the first accepts, as a process without descriptors does.
type faulty struct {
	net.Listener
	left atomic.Int64
}

func (f *faulty) Accept() (net.Conn, error) {
	if f.left.Add(-1) >= 0 {
		return nil, errors.New("too many open files")
	}
	return f.Listener.Accept()
}

func TestAFailedAcceptIsNotTheEnd(t *testing.T) {
	addr, log, _ := serve(t, proxy(t, echo), func(l net.Listener) net.Listener {
		f := &faulty{Listener: l}
		f.left.Store(2)
		return f
	})
	c := dial(t, addr)
	_, _ = c.Write([]byte("x"))
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Error(err)
	}
	if n := strings.Count(log.String(), "too many open files"); n != 2 {
		t.Errorf("log = %s", log)
	}
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}
