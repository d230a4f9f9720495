package rules

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/towline/towline/pkg/filewatch"
)

// volume is a directory as Kubernetes mounts a ConfigMap: its files are links
// into ..data, which is a link to a directory that is swapped.
type volume struct {
	t   *testing.T
	dir string
	n   int
}

func (v *volume) put(content string) {
	v.t.Helper()
	v.n++
	dir := filepath.Join(v.dir, "..version-"+string(rune('0'+v.n)))
	must(v.t, os.Mkdir(dir, 0o700))
	must(v.t, os.WriteFile(filepath.Join(dir, "rules.yaml"), []byte(content), 0o600))
	next := filepath.Join(v.dir, "..data_tmp")
	must(v.t, os.Symlink(filepath.Base(dir), next))
	must(v.t, os.Rename(next, filepath.Join(v.dir, "..data")))
	if v.n == 1 {
		must(v.t, os.Symlink(filepath.Join("..data", "rules.yaml"), filepath.Join(v.dir, "rules.yaml")))
	}
}

// pass lets one look of the watcher pass.
func pass(t *testing.T) {
	t.Helper()
	time.Sleep(filewatch.Interval)
	synctest.Wait()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestWatcherKeepsTheLastGoodRules(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		v := &volume{t: t, dir: dir}
		reports := make(chan error, 9)
		w := NewWatcher(dir, func(_ *Set, err error) { reports <- err })
		if _, _, err := w.Current(); !errors.Is(err, ErrUnusable) {
			t.Errorf("before the first look: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = w.Run(ctx) }()
		state := func(rules int, faulty, unusable, news bool) {
			t.Helper()
			s, why, err := w.Current()
			if s.Len() != rules || (why != nil) != faulty || errors.Is(err, ErrUnusable) != unusable {
				t.Errorf("%d rules, faulty %v, error %v", s.Len(), why, err)
			}
			if got := len(reports) > 0; got != news {
				t.Errorf("reported: %v, want %v", got, news)
			}
			for len(reports) > 0 {
				<-reports
			}
		}
		synctest.Wait()
		state(0, false, true, true) // no file
		v.put(one("deny: tru\n    message: m"))
		pass(t)
		state(0, false, true, true)
		v.put(one("deny: true\n    message: m"))
		pass(t)
		state(1, false, false, true)
		pass(t)
		state(1, false, false, false)
		v.put("rules: [")
		pass(t)
		state(1, true, false, true)
		must(t, os.Remove(filepath.Join(dir, "rules.yaml")))
		pass(t)
		state(1, true, false, true)
		must(t, os.Symlink(filepath.Join("..data", "rules.yaml"), filepath.Join(dir, "rules.yaml")))
		v.put("rules: []")
		pass(t)
		state(0, false, false, true)
	})
	var none *Watcher
	if s, faulty, err := none.Current(); s != nil || faulty != nil || err != nil {
		t.Errorf("a nil Watcher: %v, %v, %v", s, faulty, err)
	}
}
