package recency_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/services/runner/internal/recency"
)

func TestListBeginsWithTheLastUsed(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Symlink("nowhere", at("link")))
	must(os.Mkdir(at("directory"), 0o700))
	for _, name := range []string{"a", "b", "c"} {
		must(os.WriteFile(at(name), nil, 0o600))
	}
	for i, name := range []string{"c", "a", "directory", "b"} {
		then := time.Unix(int64(1000*i), 0)
		must(os.Chtimes(at(name), then, then))
	}
	list := func(want ...string) {
		t.Helper()
		got, err := recency.List(dir)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v %s", err, diff)
		}
	}
	list("b", "directory", "a", "c", "link")
	must(recency.Use(at("a")))
	list("a", "b", "directory", "c", "link")
	if _, err := recency.List(at("none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
	if err := recency.Use(at("none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}
