package service_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/service"
)

func get(t *testing.T, h http.Handler, path string) (int, string, http.Header) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	return w.Code, w.Body.String(), w.Header()
}

func TestReadyzSaysWhichLinkIsDownAndWhy(t *testing.T) {
	h := service.NewHealth(quiet)
	r := service.NewRouter(h, service.NewRegistry(), quiet)
	gitlab, redis := h.Link("gitlab"), h.Link("redis")
	gitlab.Up()
	redis.Down(errors.New(`redis does not answer; check "--redis-url"`))

	check := func(wantCode int, want string) {
		t.Helper()
		code, body, head := get(t, r, "/readyz")
		if code != wantCode || !strings.HasPrefix(head.Get("Content-Type"), "application/json") {
			t.Errorf("status %d, %s; want %d and JSON", code, head.Get("Content-Type"), wantCode)
		}
		var got, w any
		if err := errors.Join(json.Unmarshal([]byte(body), &got), json.Unmarshal([]byte(want), &w)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(w, got); diff != "" {
			t.Error(diff)
		}
	}
	check(503, `{"ready":false,"links":{"gitlab":"up","redis":"redis does not answer; check \"--redis-url\""}}`)
	if code, body, _ := get(t, r, "/livez"); code != 200 || body != "ok" {
		t.Errorf("/livez = %d %q while a link is down; an outage must restart nothing", code, body)
	}
	redis.Up()
	check(200, `{"ready":true,"links":{"gitlab":"up","redis":"up"}}`)
}

func TestMetricsOfTheProcessAreServed(t *testing.T) {
	r := service.NewRouter(service.NewHealth(quiet), service.NewRegistry(), quiet)
	if code, body, _ := get(t, r, "/metrics"); code != 200 || !strings.Contains(body, "go_goroutines") {
		t.Errorf("/metrics = %d with %d bytes", code, len(body))
	}
}

func TestPanicOfAHandlerBecomesA500AndALogLine(t *testing.T) {
	log, logged := lines(t)
	r := service.NewRouter(service.NewHealth(log), service.NewRegistry(), log)
	r.GET("/jobs/:id", func(*gin.Context) { panic("nil map") })
	if code, body, _ := get(t, r, "/jobs/1001"); code != 500 || body != "" {
		t.Errorf("status %d, body %q; want an empty 500", code, body)
	}
	want := []string{`level=ERROR msg="handler panicked" service=tunnel path=/jobs/:id error="nil map"`}
	if diff := cmp.Diff(want, logged()); diff != "" {
		t.Error(diff)
	}
	if code, _, _ := get(t, r, "/livez"); code != 200 {
		t.Errorf("/livez = %d after a panic", code)
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := service.Listen(t.Context(), "listen", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestListenNamesTheOption(t *testing.T) {
	l := listen(t)
	defer l.Close()
	addr := l.Addr().String()
	_, err := service.Listen(t.Context(), "metrics-listen", addr)
	if err == nil || !strings.HasPrefix(err.Error(), "--metrics-listen="+addr+": ") {
		t.Errorf("error = %v", err)
	}
}

func TestServeFinishesRequestsBeforeItStops(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	inside, leave := make(chan struct{}), make(chan struct{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(inside)
		<-leave
		if err := r.Context().Err(); err != nil {
			t.Errorf("the request was canceled by the stop: %v", err)
		}
		_, _ = io.WriteString(w, "complete")
	})
	l := listen(t)
	served, body := make(chan error, 1), make(chan string, 1)
	go func() { served <- service.Serve(ctx, l, handler, slog.New(slog.DiscardHandler)) }()
	go func() {
		resp, err := http.Get("http://" + l.Addr().String())
		if err != nil {
			body <- err.Error()
			return
		}
		defer resp.Body.Close()
		var b bytes.Buffer
		_, _ = b.ReadFrom(resp.Body)
		body <- b.String()
	}()
	<-inside
	stop()
	for { // until new connections are refused, which is when the stop has begun
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			break
		}
		_ = conn.Close()
	}
	select {
	case err := <-served:
		t.Fatalf("stopped with a request inside: %v", err)
	default:
	}
	close(leave)
	if got := <-body; got != "complete" {
		t.Errorf("the client got %q", got)
	}
	if err := <-served; err != nil {
		t.Errorf("cancellation is an error: %v", err)
	}
}

func TestServeUnderAnEndedContextReturnsAtOnce(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := service.Serve(ctx, listen(t), http.NotFoundHandler(), slog.New(slog.DiscardHandler)); err != nil {
		t.Error(err)
	}
}

func TestServeReportsABrokenListener(t *testing.T) {
	l := listen(t)
	_ = l.Close()
	if err := service.Serve(t.Context(), l, http.NotFoundHandler(), slog.New(slog.DiscardHandler)); err == nil {
		t.Error("no error")
	}
}
