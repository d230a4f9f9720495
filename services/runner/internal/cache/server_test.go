package cache

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/towline/towline/pkg/jobspec"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// supervisor is a server over a directory, as a runner has it.
type supervisor struct {
	*Server
	t    testing.TB
	port uint16
	dir  *Directory
	path string
}

func newSupervisor(t testing.TB) *supervisor {
	t.Helper()
	s := &supervisor{t: t, path: t.TempDir()}
	var err error
	s.dir, err = OpenDirectory(s.path, time.Hour, 1<<20, slog.New(slog.DiscardHandler))
	must(t, err)
	s.Server = NewServer(s.dir, slog.New(slog.DiscardHandler))
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	u, err := url.Parse(web.URL)
	must(t, err)
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	must(t, err)
	s.port = uint16(port)
	return s
}

func (s *supervisor) open(job *jobspec.Job) (*Grant, func()) {
	return s.Open(job, expander(job.Variables), s.port, "http://job:grant@127.0.0.1:1")
}

func (s *supervisor) client(job *jobspec.Job) *Client {
	g, end := s.open(job)
	c := NewClient(g)
	s.t.Cleanup(func() { c.Close(); end() })
	return c
}

func put(t testing.TB, c *Client, entry int, content string) error {
	t.Helper()
	return c.Put(t.Context(), entry, strings.NewReader(content), int64(len(content)))
}

func get(t testing.TB, c *Client, entry, key int) (string, error) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "got"))
	must(t, err)
	defer f.Close()
	if err := c.Get(t.Context(), entry, key, f); err != nil {
		return "", err
	}
	b, err := os.ReadFile(f.Name())
	return string(b), err
}

func TestAJobFindsWhatAnEarlierOneHasStored(t *testing.T) {
	s := newSupervisor(t)
	entry := jobspec.Cache{Key: "main-protected", Paths: []string{"x"}}
	if _, err := get(t, s.client(jobWith(nil, entry)), 0, 0); !errors.Is(err, ErrMissing) {
		t.Errorf("error %v", err)
	}
	must(t, put(t, s.client(jobWith(nil, entry)), 0, "first"))
	must(t, put(t, s.client(jobWith(nil, entry)), 0, "second"))
	if got, err := get(t, s.client(jobWith(nil, entry)), 0, 0); err != nil || got != "second" {
		t.Errorf("%q, %v", got, err)
	}
	fallback := jobspec.Cache{Key: "feature-protected", FallbackKeys: []string{"main-protected"}}
	c := s.client(jobWith(nil, fallback))
	if _, err := get(t, c, 0, 0); !errors.Is(err, ErrMissing) {
		t.Errorf("error %v", err)
	}
	if got, err := get(t, c, 0, 1); err != nil || got != "second" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestAJobReachesNothingElse(t *testing.T) {
	s := newSupervisor(t)
	entry := jobspec.Cache{Key: "k"}
	must(t, put(t, s.client(jobWith(nil, entry)), 0, "of project 20"))
	other := jobWith(nil, entry)
	other.JobInfo.ProjectID = 21
	if _, err := get(t, s.client(other), 0, 0); !errors.Is(err, ErrMissing) {
		t.Errorf("another project: %v", err)
	}
	c := s.client(jobWith(nil, jobspec.Cache{Key: "k", Policy: "pull"}, jobspec.Cache{Key: "k", Policy: "push"}))
	if err := put(t, c, 0, "x"); err == nil || err.Error() != "not granted" {
		t.Errorf("write with policy pull: %v", err)
	}
	if _, err := get(t, c, 1, 0); err == nil || err.Error() != "not granted" {
		t.Errorf("read with policy push: %v", err)
	}
	for _, at := range [][2]int{{2, 0}, {-1, 0}, {0, 1}, {0, -1}} {
		if _, err := get(t, c, at[0], at[1]); err == nil {
			t.Errorf("entry %d, key %d can be read", at[0], at[1])
		}
	}
	g, end := s.open(jobWith(nil, entry))
	end()
	if err := put(t, NewClient(g), 0, "x"); err == nil {
		t.Error("the job is over and still writes")
	}
	guess := NewClient(&Grant{URL: "http://127.0.0.1:" + strconv.Itoa(int(s.port)) + "/guess"})
	if _, err := get(t, guess, 0, 0); !errors.Is(err, ErrMissing) {
		t.Errorf("a guess: %v", err)
	}
	if len(g.URL) < len("http://127.0.0.1:/")+40 || g.URL == c.grant.URL {
		t.Errorf("the address %q can be guessed", g.URL)
	}
}

func TestLimitsOfAnEntry(t *testing.T) {
	s := newSupervisor(t)
	c := s.client(jobWith(nil, jobspec.Cache{Key: "k"}))
	if err := c.Put(t.Context(), 0, strings.NewReader("x"), MaxEntry+1); err == nil {
		t.Error("an entry may be larger than the limit")
	}
	const brokenOff = 5
	for length, want := range map[int64]int{0: 411, -1: 411, MaxEntry + 1: 413, brokenOff: 502} {
		r := httptest.NewRequest(http.MethodPut, strings.TrimPrefix(c.grant.URL, "http://127.0.0.1:"+strconv.Itoa(int(s.port)))+"/0", strings.NewReader("x"))
		r.ContentLength = length
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("length %d: %d, want %d", length, w.Code, want)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(s.path, "*", ".put-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if err := c.Put(t.Context(), 0, io.LimitReader(strings.NewReader("short"), 2), brokenOff); err == nil {
		t.Error("an entry that broke off was accepted")
	}
	if _, err := get(t, c, 0, 0); !errors.Is(err, ErrMissing) {
		t.Errorf("a broken entry is there: %v", err)
	}
}

func TestAFaultyDefinitionIsToldToTheJob(t *testing.T) {
	g, end := newSupervisor(t).open(jobWith(nil, jobspec.Cache{Key: "k", Policy: "all"}))
	end()
	if g.Fault != "unknown cache policy all for k" || g.URL != "" {
		t.Errorf("grant %+v", g)
	}
}

func TestPrune(t *testing.T) {
	s := newSupervisor(t)
	now := time.Now()
	write := func(name string, size int, age time.Duration) {
		path := filepath.Join(s.path, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o700))
		must(t, os.WriteFile(path, make([]byte, size), 0o600))
		must(t, os.Chtimes(path, now.Add(-age), now.Add(-age)))
	}
	write("20/new", 600<<10, time.Minute)
	write("20/older", 300<<10, 2*time.Minute)
	write("21/oldest", 300<<10, 3*time.Minute)
	write("22/small", 10<<10, 4*time.Minute)
	write("22/expired", 10, 2*time.Hour)
	write("22/.put-busy", 10, 2*time.Hour)
	write("22/.put-dead", 10, 25*time.Hour)
	write("foreign", 10, 100*time.Hour)
	must(t, s.dir.prune(now))
	var left []string
	must(t, filepath.WalkDir(s.path, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(s.path, path)
			left = append(left, rel)
		}
		return err
	}))
	if got := strings.Join(left, " "); got != "20/new 20/older 22/.put-busy 22/small foreign" {
		t.Errorf("left: %s", got)
	}
}

func TestReadingCountsAsUse(t *testing.T) {
	s := newSupervisor(t)
	c := s.client(jobWith(nil, jobspec.Cache{Key: "k"}))
	must(t, put(t, c, 0, "x"))
	files, err := filepath.Glob(filepath.Join(s.path, "20", "*.tar.zst"))
	must(t, err)
	must(t, os.Chtimes(files[0], time.Unix(1, 0), time.Unix(1, 0)))
	if _, err := get(t, c, 0, 0); err != nil {
		t.Error(err)
	}
	must(t, s.dir.prune(time.Now()))
	if _, err := get(t, c, 0, 0); err != nil {
		t.Errorf("it was removed: %v", err)
	}
}
