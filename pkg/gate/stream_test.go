package gate_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/towline/towline/pkg/eventually"
	"github.com/towline/towline/pkg/gate"
)

// patience is how long a test waits for what should come at once.
const patience = time.Minute

func TestBothVersionsOfHTTPWork(t *testing.T) {
	b := open(t, nil)
	token, _ := b.session()
	for want, client := range map[int]*http.Client{1: b.h1, 2: b.client} {
		resp, err := client.Do(b.request(http.MethodGet, "/api", token, nil))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.ProtoMajor != want || resp.StatusCode != http.StatusOK {
			t.Errorf("HTTP/%d: %s %s", want, resp.Proto, resp.Status)
		}
		if got := b.forwarded(); got.ProtoMajor != 2 {
			t.Errorf("the API server was asked over %s", got.Proto)
		}
	}
}

// watcher answers with one event for each word, and ends when words is closed.
func watcher(words <-chan string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		for {
			select {
			case word, ok := <-words:
				if !ok {
					return
				}
				fmt.Fprintln(w, word)
				_ = http.NewResponseController(w).Flush()
			case <-r.Context().Done():
				return
			}
		}
	}
}

func TestEachEventArrivesAtOnce(t *testing.T) {
	for _, proto := range []string{"h1", "h2"} {
		t.Run(proto, func(t *testing.T) {
			words := make(chan string)
			b := open(t, watcher(words))
			token, _ := b.session(within("a"))
			client := b.client
			if proto == "h1" {
				client = b.h1
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			resp, err := client.Do(b.request(http.MethodGet, "/api/v1/namespaces/a/pods?watch=1", token, nil).WithContext(ctx))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			lines := bufio.NewScanner(resp.Body)
			for _, word := range []string{"one", "two", "three"} {
				words <- word // nothing more is written before this has arrived
				if !lines.Scan() || lines.Text() != word {
					t.Fatalf("got %q, %v; want %q", lines.Text(), lines.Err(), word)
				}
			}
			close(words)
			if lines.Scan() || lines.Err() != nil {
				t.Errorf("the end: %q, %v", lines.Text(), lines.Err())
			}
		})
	}
}

func TestClosingTheSessionCutsOpenWatches(t *testing.T) {
	for _, proto := range []string{"h1", "h2"} {
		t.Run(proto, func(t *testing.T) {
			gone := make(chan struct{})
			b := open(t, func(w http.ResponseWriter, r *http.Request) {
				watcher(nil)(w, r)
				close(gone)
			})
			token, s := b.session()
			client := b.client
			if proto == "h1" {
				client = b.h1
			}
			resp, err := client.Do(b.request(http.MethodGet, "/api/v1/pods?watch=1", token, nil))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			s.Close()
			read := make(chan error, 1)
			go func() {
				_, err := io.Copy(io.Discard, resp.Body)
				read <- err
			}()
			select {
			case err := <-read:
				if err == nil {
					t.Error("the watch looks as if it had ended by itself")
				}
			case <-time.After(patience):
				t.Fatal("the watch goes on")
			}
			select {
			case <-gone:
			case <-time.After(patience):
				t.Fatal("the API server still answers")
			}
		})
	}
}

func TestClosingOneSessionLeavesOthersAlone(t *testing.T) {
	words := make(chan string)
	b := open(t, watcher(words))
	mine, _ := b.session()
	_, other := b.session()
	resp := b.do(b.request(http.MethodGet, "/api/v1/pods?watch=1", mine, nil))
	other.Close()
	words <- "still here"
	if line, err := bufio.NewReader(resp.Body).ReadString('\n'); line != "still here\n" {
		t.Errorf("got %q, %v", line, err)
	}
}

func TestAnAbsentAPIServerIsAStatus(t *testing.T) {
	b := open(t, nil)
	token, _ := b.session()
	b.upstream.Close()
	st := status(t, b.do(b.request(http.MethodGet, "/api", token, nil)))
	if st.Code != http.StatusServiceUnavailable || st.Reason != "ServiceUnavailable" || !strings.HasPrefix(st.Message, "towline: the Kubernetes API does not answer the runner") {
		t.Errorf("Status = %+v", st)
	}
	if lines := b.log.lines(t, "kubernetes api does not answer"); len(lines) != 1 {
		t.Errorf("log = %v", lines)
	}
	if strings.Contains(b.log.String(), token) || strings.Contains(b.log.String(), ownToken) {
		t.Error("a token is in the log")
	}
}

// counted is a body that comes while it is being read.
type counted struct {
	left  int
	began chan<- struct{}
	wait  <-chan struct{}
}

func (c *counted) Read(p []byte) (int, error) {
	if c.began != nil {
		close(c.began)
		c.began = nil
	} else if c.wait != nil {
		<-c.wait
		c.wait = nil
	}
	if c.left == 0 {
		return 0, io.EOF
	}
	n := min(c.left, len(p))
	c.left -= n
	return n, nil
}

func TestALargeBodyIsStreamed(t *testing.T) {
	const size = 32 << 20
	arrived, began := make(chan struct{}), make(chan struct{})
	total := make(chan int64, 1)
	b := open(t, func(_ http.ResponseWriter, r *http.Request) {
		n, _ := io.ReadFull(r.Body, make([]byte, 1))
		close(arrived) // only now does the client send the rest
		rest, _ := io.Copy(io.Discard, r.Body)
		total <- int64(n) + rest
	})
	token, _ := b.session()
	resp := b.do(b.request(http.MethodPost, "/api/v1/namespaces/a/secrets", token, &counted{left: size, began: began, wait: arrived}))
	if got := <-total; got != size || resp.StatusCode != http.StatusOK {
		t.Errorf("%d bytes arrived, %s", got, resp.Status)
	}
}

// echo is an API server that agrees to another protocol and says everything
// twice.
func echo(w http.ResponseWriter, r *http.Request) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer conn.Close()
	fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", r.Header.Get("Upgrade"))
	for {
		line, err := rw.ReadString('\n')
		if err != nil {
			return
		}
		fmt.Fprint(conn, line, line)
	}
}

// upgrade opens a connection of another protocol through the gate.
func (b *bench) upgrade(token, protocol, path string) (net.Conn, *bufio.Reader, *http.Response) {
	b.tb.Helper()
	cfg := b.tls.Clone()
	cfg.NextProtos = []string{"http/1.1"}
	conn, err := (&tls.Dialer{Config: cfg}).DialContext(b.tb.Context(), "tcp", strings.TrimPrefix(b.url, "https://"))
	if err != nil {
		b.tb.Fatal(err)
	}
	b.tb.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", path, token, protocol)
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		b.tb.Fatal(err)
	}
	return conn, r, resp
}

const execPath = "/api/v1/namespaces/a/pods/p/exec?command=sh"

func TestUpgradedConnectionsGoBothWays(t *testing.T) {
	for _, protocol := range []string{"SPDY/3.1", "websocket"} {
		t.Run(protocol, func(t *testing.T) {
			b := open(t, echo)
			token, s := b.session(within("a"))
			conn, r, resp := b.upgrade(token, protocol, execPath)
			if resp.StatusCode != http.StatusSwitchingProtocols || resp.Header.Get("Upgrade") != protocol {
				t.Fatalf("%s, upgrade to %q", resp.Status, resp.Header.Get("Upgrade"))
			}
			for _, line := range []string{"hello\n", strings.Repeat("x", 100_000) + "\n"} {
				go fmt.Fprint(conn, line)
				for range 2 {
					if got, err := r.ReadString('\n'); got != line {
						t.Fatalf("%d bytes back, %v; want %d", len(got), err, len(line))
					}
				}
			}
			s.Close()
			_ = conn.SetDeadline(time.Now().Add(patience))
			if _, err := r.ReadByte(); err == nil || errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
				t.Errorf("the session is closed, the connection is not: %v", err)
			}
			eventually.Is(t, "the command is in the audit log", func() bool { return len(b.log.lines(t, "kubernetes request")) == 1 })
			if line := b.log.lines(t, "kubernetes request")[0]; line["code"] != float64(101) || line["subresource"] != "exec" || line["verb"] != "get" {
				t.Errorf("audit = %v", line)
			}
		})
	}
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

func TestAnUpgradeOutsideTheNamespacesIsRefused(t *testing.T) {
	b := open(t, echo)
	token, _ := b.session(within("b"))
	_, _, resp := b.upgrade(token, "SPDY/3.1", execPath)
	if resp.StatusCode != http.StatusForbidden || b.forwarded() != nil {
		t.Errorf("%s", resp.Status)
	}
}

func TestARefusedUpgradeIsAnAnswer(t *testing.T) {
	b := open(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no such pod", http.StatusNotFound) })
	token, _ := b.session()
	_, _, resp := b.upgrade(token, "SPDY/3.1", execPath)
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusNotFound || string(body) != "no such pod\n" {
		t.Errorf("%s %q", resp.Status, body)
	}
}

func TestAnAddressWithAPathKeepsIt(t *testing.T) {
	got := make(chan string, 1)
	upstream := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.RequestURI }))
	defer upstream.Close()
	g := newGate(t, &rest.Config{Host: upstream.URL + "/k8s/clusters/c-1/"}, io.Discard)
	b := &bench{tb: t, gate: g}
	token, _ := b.session()
	r := httptest.NewRequest(http.MethodGet, "/api/v1/pods?limit=1", nil)
	r.URL.Scheme, r.URL.Host = "", ""
	r.Header.Set("Authorization", "Bearer "+token)
	g.ServeHTTP(httptest.NewRecorder(), r)
	if uri := <-got; uri != "/k8s/clusters/c-1/api/v1/pods?limit=1" {
		t.Errorf("asked for %s", uri)
	}
}

func TestTheCertificateIsForLoopbackOnly(t *testing.T) {
	cert, _, err := gate.SelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	leaf := cert.Leaf
	if leaf == nil {
		t.Fatal("no parsed certificate: it would be parsed at each handshake")
	}
	if len(leaf.DNSNames) != 0 || len(leaf.IPAddresses) != 1 || !leaf.IPAddresses[0].IsLoopback() {
		t.Errorf("certificate for %v %v", leaf.DNSNames, leaf.IPAddresses)
	}
	other, _, err := gate.SelfSigned()
	if err != nil || other.Leaf.Equal(leaf) {
		t.Errorf("two processes share a certificate: %v", err)
	}
}

// TestARefusalEndsARequestWhoseBodyNeverComes: the API server refuses before it
// has read the body, and the client, which has seen that, sends no more of it.
func TestARefusalEndsARequestWhoseBodyNeverComes(t *testing.T) {
	b := open(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"kind":"Status"}`)
	})
	token, _ := b.session()
	body, more := io.Pipe()
	defer more.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	resp, err := b.client.Do(b.request(http.MethodPost, "/api/v1/namespaces/a/configmaps", token, body).WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusForbidden || string(got) != `{"kind":"Status"}` {
		t.Errorf("%s %q, %v", resp.Status, got, err)
	}
}
