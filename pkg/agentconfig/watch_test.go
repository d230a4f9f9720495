package agentconfig

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/towline/towline/pkg/filewatch"
	"github.com/towline/towline/pkg/strictyaml"
)

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, FileName)
	if _, err := Load(dir, Options{}); !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), file) {
		t.Errorf("missing file: %v", err)
	}
	if _, err := Load(filepath.Join(dir, "no", "such"), Options{}); !errors.Is(err, ErrMissing) {
		t.Errorf("missing directory: %v", err)
	}
	write(t, file, "ci_access: {projects: [{id: a/b}]}")
	for _, path := range []string{dir, file} {
		got, err := Load(path, Options{})
		if err != nil || got.Config.CIAccess.Projects[0].File != file || got.Revision != Revision([]byte("ci_access: {projects: [{id: a/b}]}")) {
			t.Errorf("%s: %+v, %v", path, got, err)
		}
	}
	write(t, file, strings.Repeat("#", MaxFile+1))
	if _, err := Load(dir, Options{}); err == nil || !strings.Contains(err.Error(), "over the limit") {
		t.Errorf("large file: %v", err)
	}
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "sub", FileName), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(filepath.Join(dir, "sub"), Options{}); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("directory as file: %v", err)
	}
}

// A ConfigMap volume: config.yaml is a link to ..data/config.yaml, and ..data a
// link to a directory that is swapped.
func TestWatcherSeesConfigMapSwapsAndKeepsTheLastGood(t *testing.T) {
	dir := t.TempDir()
	version := func(name, content string, towline ...string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name, FileName), content)
		for _, content := range towline {
			write(t, filepath.Join(dir, name, TowlineFileName), content)
		}
		next := filepath.Join(dir, "..data_tmp")
		if err := os.Symlink(name, next); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{FileName, TowlineFileName} {
		if err := os.Symlink(filepath.Join("..data", file), filepath.Join(dir, file)); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		var events []Event
		w := NewWatcher(dir, Options{}, func(e Event) { events = append(events, e) })
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- w.Run(ctx) }()
		step := func(want int, check func(Event) bool) {
			t.Helper()
			time.Sleep(3 * filewatch.Interval)
			synctest.Wait()
			if len(events) != want || !check(events[len(events)-1]) {
				t.Fatalf("events: %+v", events)
			}
		}
		step(1, func(e Event) bool { return e.Loaded == nil && errors.Is(e.Err, ErrMissing) })
		version("..v1", "ci_access: {projects: [{id: a/one}]}")
		step(2, func(e Event) bool { return e.Err == nil && e.Loaded.Config.CIAccess.Projects[0].ID == "a/one" })
		version("..v2", "ci_access: {project: []}")
		step(3, func(e Event) bool {
			var f strictyaml.Faults
			return errors.As(e.Err, &f) && e.Loaded.Config.CIAccess.Projects[0].ID == "a/one"
		})
		version("..v3", "ci_access: {projects: [{id: a/three}]}")
		step(4, func(e Event) bool { return e.Err == nil && e.Loaded.Config.CIAccess.Projects[0].ID == "a/three" })
		version("..v4", "ci_access: {projects: [{id: a/three}]}", "refine: [{users: [a]}]")
		step(5, func(e Event) bool { return e.Err == nil && len(e.Loaded.Config.Towline.Refine) == 1 })
		version("..v5", "ci_access: {projects: [{id: a/five}]}", "refine: [{user: [a]}]")
		step(6, func(e Event) bool {
			return strings.HasPrefix(e.Err.Error(), filepath.Join(dir, TowlineFileName)+":1:11: refine[0].user: unknown key") &&
				e.Loaded.Config.CIAccess.Projects[0].ID == "a/three" && len(e.Loaded.Config.Towline.Refine) == 1
		})
		version("..v6", "ci_access: {projects: [{id: a/three}]}")
		step(7, func(e Event) bool { return e.Err == nil && len(e.Loaded.Config.Towline.Refine) == 0 })
		if got := w.Current(); got.Loaded.Config.CIAccess.Projects[0].ID != "a/three" {
			t.Errorf("current: %+v", got)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
