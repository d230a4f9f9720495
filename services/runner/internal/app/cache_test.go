package app

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/towline/towline/services/runner/internal/cache"
)

func TestFaultsOfTheCache(t *testing.T) {
	for want, args := range map[string][]string{
		"--cache-max-age=0s: use more than 0":                                 {"--cache-max-age=0s"},
		"--cache-max-size=0: use more than 0 bytes":                           {"--cache-max-size=0"},
		"both set: choose one":                                                {"--cache-dir=/c", "--cache-s3-endpoint=https://s3"},
		"--cache-s3-endpoint=s3: use https://":                                {"--cache-s3-endpoint=s3"},
		"--cache-s3-bucket is missing: --cache-s3-endpoint needs it":          {"--cache-s3-endpoint=https://s3"},
		"--cache-s3-secret-key-file is missing: --cache-s3-endpoint needs it": {"--cache-s3-endpoint=https://s3"},
		"--cache-s3-region is missing: --cache-s3-endpoint needs it":          {"--cache-s3-endpoint=https://s3", "--cache-s3-region="},
		"--cache-s3-access-key-file is missing: --cache-s3-endpoint needs it": {"--cache-s3-endpoint=https://s3"},
	} {
		if _, err := parse(append([]string{"--seal-key-file=/k"}, args...), noEnv, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %s", args, err, want)
		}
	}
}

// TestTheCacheIsWhatTheSettingsSay builds each kind of cache and looks at what
// its options do.
func TestTheCacheIsWhatTheSettingsSay(t *testing.T) {
	h := around(t)
	none, err := h.build()
	if err != nil || none.cache != nil || none.worker.Cache != nil || none.worker.Endpoint.CachePort != 0 {
		t.Errorf("without settings: %+v, %v", none.cache, err)
	}
	dir := t.TempDir()
	old := filepath.Join(dir, "20", "old")
	if err := os.MkdirAll(filepath.Dir(old), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(old, make([]byte, 100), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, arg := range map[string]string{"age": "--cache-max-age=1ns", "size": "--cache-max-size=50"} {
		if err := os.WriteFile(old, make([]byte, 100), 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := h.build("--cache-dir="+dir, arg)
		if err != nil {
			t.Fatal(err)
		}
		defer r.cache.listener.Close()
		stop := stageOf(t, r.cache.prune)
		deadline := time.Now().Add(10 * time.Second)
		for _, err := os.Stat(old); err == nil && time.Now().Before(deadline); _, err = os.Stat(old) {
		}
		if _, err := os.Stat(old); err == nil {
			t.Errorf("%s: the old entry is still there", name)
		}
		stop()
		if r.worker.Endpoint.CachePort == 0 || r.worker.Cache == nil {
			t.Errorf("%s: the worker does not know the cache", name)
		}
	}
}

func TestTheStoreIsReachedAsConfigured(t *testing.T) {
	h := around(t)
	r, err := h.build("--cache-s3-endpoint=http://127.0.0.1:1", "--cache-s3-bucket=bucket", "--cache-s3-region=r",
		"--cache-s3-access-key-file="+h.file("a", "access"), "--cache-s3-secret-key-file="+h.file("s", "secret"), "--cache-s3-path-style=true")
	if err != nil {
		t.Fatal(err)
	}
	defer r.cache.listener.Close()
	var s http.Handler = r.cache.server
	if _, ok := s.(*cache.Server); !ok || r.cache.prune != nil {
		t.Errorf("cache %+v", r.cache)
	}
}

// stageOf runs a stage until the returned function is called.
func stageOf(t *testing.T, run func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
