package documents

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// server is an API server whose documents have ETags, and which refuses one
// user.
type server struct {
	*httptest.Server
	mu      sync.Mutex
	version string
	size    int
	asked   []string // user, path, status
	header  http.Header
}

func newServer(t *testing.T) *server {
	s := &server{version: "1", size: 10, header: http.Header{"Vary": {"Accept"}}}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

func (s *server) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	status := http.StatusOK
	etag := fmt.Sprintf("%q", s.version+r.Header.Get("Accept"))
	switch {
	case r.Header.Get("User") == "mallory":
		status = http.StatusForbidden
	case r.Header.Get("If-None-Match") == etag:
		status = http.StatusNotModified
	}
	for name, values := range s.header {
		w.Header()[name] = values
	}
	w.Header().Set("Request", fmt.Sprint(len(s.asked)))
	if status != http.StatusForbidden && !strings.HasPrefix(r.URL.Path, "/k/version") {
		w.Header().Set("Etag", etag)
		w.Header().Set("Content-Type", "application/thing")
	}
	s.asked = append(s.asked, fmt.Sprintf("%s %s %d", r.Header.Get("User"), r.URL.RequestURI(), status))
	w.WriteHeader(status)
	if status == http.StatusOK {
		_, _ = io.WriteString(w, s.version+":"+strings.Repeat("x", s.size))
	}
}

// get asks as a user, through the cache.
func (s *server) get(t *testing.T, c *Cache, user, path string, header ...string) (int, string, http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("User", user)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := c.Transport(http.DefaultTransport).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body), resp.Header
}

// log returns and forgets what was asked.
func (s *server) log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := strings.Join(s.asked, ", ")
	s.asked = nil
	return out
}

func TestCurrentDocumentsComeFromTheCache(t *testing.T) {
	s, c := newServer(t), New("/k/")
	for i, want := range []string{"ada /k/apis 200", "bob /k/apis 304", "bob /k/apis 304"} {
		code, body, header := s.get(t, c, strings.Fields(want)[0], "/k/apis")
		if code != 200 || body != "1:xxxxxxxxxx" || header.Get("Content-Type") != "application/thing" {
			t.Errorf("%d: %d %q %v", i, code, body, header)
		}
		if got := s.log(); got != want {
			t.Errorf("%d: asked %q, want %q", i, got, want)
		}
	}
	s.version = "2"
	if _, body, _ := s.get(t, c, "ada", "/k/apis"); body != "2:xxxxxxxxxx" {
		t.Errorf("a changed document: %q", body)
	}
	if _, body, header := s.get(t, c, "ada", "/k/apis"); body != "2:xxxxxxxxxx" || header.Get("Request") != "1" {
		t.Errorf("after the change: %q, %v", body, header)
	}
}

func TestTheAPIServerDecidesForEachUser(t *testing.T) {
	s, c := newServer(t), New("/k")
	s.get(t, c, "ada", "/k/openapi/v2")
	if code, body, _ := s.get(t, c, "mallory", "/k/openapi/v2"); code != http.StatusForbidden || body != "" {
		t.Errorf("%d %q", code, body)
	}
	if code, body, _ := s.get(t, c, "ada", "/k/openapi/v2"); code != 200 || !strings.HasPrefix(body, "1:") {
		t.Errorf("after a refusal of another: %d %q", code, body)
	}
	if got := s.log(); got != "ada /k/openapi/v2 200, mallory /k/openapi/v2 403, ada /k/openapi/v2 304" {
		t.Errorf("asked %q", got)
	}
}

func TestWhatIsNotKept(t *testing.T) {
	for name, call := range map[string]struct {
		path   string
		header []string
		vary   string
		size   int
	}{
		"no ETag":                {path: "/k/version"},
		"an object":              {path: "/k/api/v1/namespaces/a/configmaps/b"},
		"another prefix":         {path: "/apis"},
		"a query of one's own":   {path: "/k/apis?x=1"},
		"a client with its copy": {path: "/k/apis", header: []string{"If-None-Match", `"old"`}},
		"a part":                 {path: "/k/apis", header: []string{"Range", "bytes=0-1"}},
		"an answer by cookie":    {path: "/k/apis", vary: "Accept, Cookie"},
		"a long key":             {path: "/k/apis", header: []string{"Accept", strings.Repeat("a", maxKey)}},
		"a huge document":        {path: "/k/apis", size: maxDocument},
	} {
		s, c := newServer(t), New("/k")
		if call.vary != "" {
			s.header = http.Header{"Vary": {call.vary}}
		}
		s.size = max(10, call.size)
		for range 2 {
			if code, body, _ := s.get(t, c, "ada", call.path, call.header...); code != 200 || len(body) != s.size+2 {
				t.Errorf("%s: %d, %d bytes", name, code, len(body))
			}
		}
		if strings.Contains(s.log(), "304") || c.bytes != 0 || len(c.entries) != 0 {
			t.Errorf("%s: %d bytes are kept", name, c.bytes)
		}
	}
}

func TestRepresentationsAreKeptApart(t *testing.T) {
	s, c := newServer(t), New("/k")
	for _, accept := range []string{"json", "proto", "json"} {
		if _, _, header := s.get(t, c, "ada", "/k/openapi/v3/apis/apps/v1?hash=1&timeout=32s", "Accept", accept); header.Get("Etag") != `"1`+accept+`"` {
			t.Errorf("%s: %v", accept, header)
		}
	}
	s.get(t, c, "ada", "/k/openapi/v3/apis/apps/v1?hash=2", "Accept", "json")
	if got := s.log(); strings.Count(got, "304") != 1 || strings.Count(got, "200") != 3 {
		t.Errorf("asked %q", got)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	s, c := newServer(t), New("/k")
	s.size = maxDocument / 2
	for i := range 3 * maxBytes / s.size {
		s.get(t, c, "ada", fmt.Sprintf("/k/openapi/v3/%d", i))
		if c.bytes > maxBytes || len(c.entries) != len(c.order) {
			t.Fatalf("%d bytes in %d entries, %d in order", c.bytes, len(c.entries), len(c.order))
		}
	}
	s.size = 10
	for i := range 2 * maxEntries {
		s.get(t, c, "ada", fmt.Sprintf("/k/openapi/v3/small/%d", i))
	}
	if len(c.entries) != maxEntries {
		t.Errorf("%d entries", len(c.entries))
	}
	s.log()
	s.get(t, c, "ada", fmt.Sprintf("/k/openapi/v3/small/%d", 2*maxEntries-1))
	if got := s.log(); !strings.HasSuffix(got, "304") {
		t.Errorf("the newest is gone: %q", got)
	}
}

// TestOneFetchForManyAtOnce: the first transfers, the others ask whether it is
// current.
func TestOneFetchForManyAtOnce(t *testing.T) {
	s, c := newServer(t), New("/k")
	var all sync.WaitGroup
	var wrong atomic.Int32
	for range 20 {
		all.Go(func() {
			if _, body, _ := s.get(t, c, "ada", "/k/apis"); body != "1:xxxxxxxxxx" {
				wrong.Add(1)
			}
		})
	}
	all.Wait()
	if got := s.log(); wrong.Load() != 0 || strings.Count(got, "200") != 1 || strings.Count(got, "304") != 19 {
		t.Errorf("%d wrong; asked %q", wrong.Load(), got)
	}
	if len(c.fetching) != 0 {
		t.Errorf("%d still fetching", len(c.fetching))
	}
}

// TestAFailedFetchLeavesTheOthersToThemselves: whoever may not read must not
// keep others waiting.
func TestAFailedFetchLeavesTheOthersToThemselves(t *testing.T) {
	s, c := newServer(t), New("/k")
	var all sync.WaitGroup
	for i := range 10 {
		all.Go(func() {
			user, want := "ada", 200
			if i%2 == 0 {
				user, want = "mallory", http.StatusForbidden
			}
			if code, _, _ := s.get(t, c, user, "/k/apis"); code != want {
				t.Errorf("%s: %d", user, code)
			}
		})
	}
	all.Wait()
}
