package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
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
	case <-time.After(time.Minute):
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

// Whoever starts the simulator anew before the same services has jobs of other
// numbers.
func TestForDevelopment(t *testing.T) {
	began := time.Now().Unix()
	url, _ := start(t, t.Context(), nil, "--development", "--data-dir", t.TempDir())
	resp, err := http.Post(url+"/_sim/RunPipeline", "application/json", strings.NewReader(`{"pipeline":{"project":"acme/shop"}}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var p struct{ Jobs []struct{ ID int64 } }
	if err := json.NewDecoder(resp.Body).Decode(&p); err != nil || len(p.Jobs) != 2 || p.Jobs[0].ID < began {
		t.Errorf("jobs %+v, %v", p.Jobs, err)
	}
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
