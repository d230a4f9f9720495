package cluster

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestStoreBuildsOnceForAllWhoAsk(t *testing.T) {
	s := store{dir: filepath.Join(t.TempDir(), "prog"), name: "prog"}
	var builds atomic.Int32
	build := func(_ context.Context, output string) error {
		builds.Add(1)
		time.Sleep(50 * time.Millisecond) // others arrive meanwhile
		return os.WriteFile(output, []byte("program"), 0o700)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			path, err := s.get(t.Context(), "key", &bytes.Buffer{}, build)
			if err != nil || path != filepath.Join(s.dir, "key", "prog") {
				t.Errorf("get = %q, %v", path, err)
			}
		})
	}
	wg.Wait()
	if got := builds.Load(); got != 1 {
		t.Errorf("builds = %d, want 1", got)
	}
}

func TestStoreKeepsTheTwoUsedLast(t *testing.T) {
	s := store{dir: t.TempDir(), name: "prog"}
	build := func(_ context.Context, output string) error { return os.WriteFile(output, nil, 0o700) }
	for i, key := range []string{"a", "b", "c"} {
		if _, err := s.get(t.Context(), key, &bytes.Buffer{}, build); err != nil {
			t.Fatal(err)
		}
		age := time.Now().Add(time.Duration(i-10) * time.Hour)
		if err := os.Chtimes(filepath.Join(s.dir, key), age, age); err != nil {
			t.Fatal(err)
		}
	}
	if !s.has("b") { // using it makes it newer than c
		t.Fatal("b is missing")
	}
	if _, err := s.get(t.Context(), "d", &bytes.Buffer{}, build); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]bool{"a": false, "b": true, "c": false, "d": true} {
		if got := s.has(key); got != want {
			t.Errorf("has(%s) = %v, want %v", key, got, want)
		}
	}
}

func TestStoreForgetsAFailedBuild(t *testing.T) {
	s := store{dir: t.TempDir(), name: "prog"}
	broken := errors.New("broken")
	_, err := s.get(t.Context(), "key", &bytes.Buffer{}, func(_ context.Context, output string) error {
		_ = os.WriteFile(output, []byte("half"), 0o700)
		return broken
	})
	if !errors.Is(err, broken) {
		t.Errorf("err = %v, want broken", err)
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != lockFile {
		t.Errorf("left in the store: %v, %v", entries, err)
	}
}

func TestStoreStopsWaitingWithItsContext(t *testing.T) {
	s := store{dir: t.TempDir(), name: "prog"}
	unlock, err := s.lock(t.Context(), &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var progress bytes.Buffer
	if _, err := s.get(ctx, "key", &progress, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("err = %v, want deadline exceeded", err)
	}
	if !strings.Contains(progress.String(), "waiting for another process") {
		t.Errorf("progress = %q", progress.String())
	}
}

func TestDigestFollowsSourcesAndFlags(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	key := func(include func(string) bool, flags ...string) string {
		t.Helper()
		d, err := digest(t.Context(), source{dir: dir}, include, flags)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	write("go.mod", "module m\n")
	write("main.go", "package main\n")
	first, modules := key(programFile), key(moduleFile)
	if key(programFile) != first {
		t.Error("the same sources have two digests")
	}
	if key(programFile, "-race") == first {
		t.Error("a flag does not change the digest")
	}
	write("main_test.go", "package main\n")
	write("notes.txt", "x")
	if key(programFile) != first {
		t.Error("a file that is not compiled changes the digest")
	}
	write("main.go", "package main // changed\n")
	if key(programFile) == first {
		t.Error("a changed source does not change the digest")
	}
	if key(moduleFile) != modules {
		t.Error("kubectl would be built again for a change in the control plane")
	}
}

func TestVersionComesFromTheModule(t *testing.T) {
	src, err := findSource(t.Context(), kubelet)
	if err != nil {
		t.Fatal(err)
	}
	flags, err := linkerFlags(src.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"component-base/version.gitVersion=v1.", "version.gitMajor=1 ", "client-go/pkg/version.gitMinor="} {
		if !strings.Contains(flags, want) {
			t.Errorf("%q is missing in %q", want, flags)
		}
	}
}

func TestNamespacePrefix(t *testing.T) {
	for test, want := range map[string]string{
		"TestApply":                       "testapply-",
		"TestApply/two_words, ünïcode":    "testapply-two-words---n-code-",
		"!!!":                             "test-",
		strings.Repeat("x", 39) + "/more": strings.Repeat("x", 39) + "-",
		strings.Repeat("TestVeryLong", 9): strings.Repeat("testverylong", 9)[:40] + "-",
	} {
		if got := namespacePrefix(test); got != want {
			t.Errorf("namespacePrefix(%q) = %q, want %q", test, got, want)
		}
	}
}
