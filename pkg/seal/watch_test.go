package seal_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/towline/towline/pkg/filewatch"
	"github.com/towline/towline/pkg/seal"
	"github.com/towline/towline/pkg/succession"
)

func keyFile(keys ...[]byte) []byte {
	var out strings.Builder
	for _, k := range keys {
		out.WriteString(base64.StdEncoding.EncodeToString(k) + "\n")
	}
	return []byte(out.String())
}

// opens says whether a box that has only this key opens what b seals now.
func opens(t *testing.T, b *seal.Box, k []byte) bool {
	t.Helper()
	_, err := box(t, k).Open(sealed(t, b, "secret", "job:1"), "job:1")
	return err == nil
}

// A new key in front is known at once and seals when everybody knows it.
func TestARotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seal.key")
	old, fresh := key(1), key(2)
	put := func(content []byte) {
		t.Helper()
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(keyFile(old))
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		b, err := seal.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- b.Run(ctx, slog.New(slog.NewTextHandler(&log, nil))) }()
		defer func() {
			stop()
			if err := <-done; err != nil {
				t.Error(err)
			}
			for _, secret := range strings.Fields(string(keyFile(old, fresh))) {
				if strings.Contains(log.String(), secret) {
					t.Error("a key is logged")
				}
			}
		}()
		change := func(content []byte) {
			synctest.Wait() // nobody reads a file that is half written
			put(content)
			<-time.After(filewatch.Interval + time.Millisecond)
			synctest.Wait()
		}

		change(keyFile(fresh, old))
		if _, err := b.Open(sealed(t, box(t, fresh), "x", "p"), "p"); err != nil {
			t.Error("the new key is not known")
		}
		if !opens(t, b, old) {
			t.Error("the new key seals before everybody knows it")
		}
		change([]byte("half written"))
		if got := log.String(); !opens(t, b, old) || strings.Count(got, "cannot be used") != 1 || !strings.Contains(got, path+":1: want 32 bytes") {
			t.Errorf("a broken file: %s", got)
		}
		change(keyFile(fresh, old))
		<-time.After(succession.Settle)
		if !opens(t, b, fresh) {
			t.Error("the new key does not seal once it has settled")
		}
		if _, err := b.Open(sealed(t, box(t, old), "x", "p"), "p"); err != nil {
			t.Error("the old key is forgotten while it is in the file")
		}
		change(keyFile(fresh))
		if _, err := b.Open(sealed(t, box(t, old), "x", "p"), "p"); err == nil {
			t.Error("a key that was taken away still opens")
		}
		change(keyFile(old))
		if !opens(t, b, old) {
			t.Error("a file without the key that seals must change it at once")
		}
	})
}
