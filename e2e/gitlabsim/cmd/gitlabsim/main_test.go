package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"
)

// start runs the command and waits for its ready line.
func start(t *testing.T, ctx context.Context, stdin io.Reader, args ...string) (url string, done chan error) {
	t.Helper()
	out, w := io.Pipe()
	done = make(chan error, 1)
	go func() { done <- run(ctx, args, stdin, w, io.Discard) }()
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	var ready struct{ URL string }
	if err := json.Unmarshal(line, &ready); err != nil {
		t.Fatalf("%v in %s", err, line)
	}
	return ready.URL, done
}

func waitFor(t *testing.T, done chan error) {
	t.Helper()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("still running")
	}
}

func TestServesUntilCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	url, done := start(t, ctx, nil, "--long-poll", "1s", "--data-dir", t.TempDir())
	resp, err := http.Get(url + "/.well-known/openid-configuration")
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%v %v", resp, err)
	}
	_ = resp.Body.Close()
	cancel()
	waitFor(t, done)
}

func TestExitsWithItsParent(t *testing.T) {
	stdin, w := io.Pipe()
	_, done := start(t, t.Context(), stdin, "--exit-with-parent")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, done)
}

func TestBadFlag(t *testing.T) {
	if err := run(t.Context(), []string{"--nonsense"}, nil, io.Discard, io.Discard); err == nil {
		t.Error("an unknown flag is accepted")
	}
}
