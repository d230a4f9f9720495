package syncer

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// shelfFiles are the names and contents of a directory.
func shelfFiles(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out[e.Name()] = string(text)
	}
	return out
}

func writeAt(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), fileMode); err != nil {
		t.Fatal(err)
	}
}

func TestAShelfGoesFromSyncToSync(t *testing.T) {
	work := t.TempDir()
	s := &shelves{dir: filepath.Join(work, "charts")}
	borrow := func(name, sync string) string {
		t.Helper()
		place := filepath.Join(work, sync)
		if err := s.lend(name, place); err != nil {
			t.Fatal(err)
		}
		return place
	}
	first := borrow("a", "sync-1")
	writeAt(t, first, "c.tgz", "chart")
	writeAt(t, first, "i.json", "answer")
	writeAt(t, first, "fetching-7", "half a chart")
	if err := os.Symlink("/etc/passwd", filepath.Join(first, "l.tgz")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(first, "d.tgz", "d"), dirMode); err != nil {
		t.Fatal(err)
	}
	if err := s.takeBack("a", first); err != nil {
		t.Fatal(err)
	}
	if got := shelfFiles(t, borrow("b", "sync-2")); len(got) != 0 {
		t.Errorf("another entry sees %q", got)
	}
	second := borrow("a", "sync-3")
	if diff := cmp.Diff(map[string]string{"c.tgz": "chart", "i.json": "answer"}, shelfFiles(t, second)); diff != "" {
		t.Error(diff)
	}
	// One that is lent is not lent again, and the last to bring it back wins.
	third := borrow("a", "sync-4")
	if got := shelfFiles(t, third); len(got) != 0 {
		t.Errorf("%q", got)
	}
	writeAt(t, third, "new.tgz", "chart")
	for _, place := range []string{second, third} {
		if err := s.takeBack("a", place); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(map[string]string{"new.tgz": "chart"}, shelfFiles(t, borrow("a", "sync-5"))); diff != "" {
		t.Error(diff)
	}
}

func TestShelvesAreBounded(t *testing.T) {
	work := t.TempDir()
	s := &shelves{dir: filepath.Join(work, "charts")}
	sparse := func(place, name string, size int64) {
		t.Helper()
		writeAt(t, place, name, "")
		if err := os.Truncate(filepath.Join(place, name), size); err != nil {
			t.Fatal(err)
		}
	}
	lend := func(name string) string {
		t.Helper()
		place := filepath.Join(work, "lent-"+name)
		if err := s.lend(name, place); err != nil {
			t.Fatal(err)
		}
		return place
	}
	large := lend("large")
	sparse(large, "a.tgz", maxShelfBytes+1)
	many := lend("many")
	for i := range maxShelfFiles + 1 {
		writeAt(t, many, fmt.Sprintf("%d.json", i), "")
	}
	for want, place := range map[string]string{"80 MiB are kept": large, "128 files are kept": many} {
		if err := s.takeBack(filepath.Base(place), place); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	for i := range 5 { // one more than there is room for
		name := string(rune('a' + i))
		place := lend(name)
		sparse(place, "c.tgz", maxShelvesBytes/4)
		if err := s.takeBack(name, place); err != nil {
			t.Fatal(err)
		}
		then := time.Now().Add(time.Duration(i-10) * time.Minute)
		if err := os.Chtimes(filepath.Join(s.dir, name), then, then); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil || len(entries) != 4 || entries[0].Name() != "b" {
		t.Errorf("%v, %v", entries, err)
	}
}
