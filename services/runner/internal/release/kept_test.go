package release

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	helmregistry "helm.sh/helm/v3/pkg/registry"
	"k8s.io/client-go/rest"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/services/runner/internal/toolbox/helm/helmtest"
)

// counter counts what a server is asked and how much it sends.
type counter struct {
	next http.Handler

	mu    sync.Mutex
	asked []string // method, path, status
	bytes int
}

func (c *counter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := &counted{ResponseWriter: w, status: http.StatusOK}
	c.next.ServeHTTP(answer, r)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, fmt.Sprintf("%s %s %d", r.Method, r.URL.Path, answer.status))
	c.bytes += answer.bytes
}

// since returns what was asked since the last time, and how many bytes were sent.
func (c *counter) since() (asked []string, bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	asked, bytes = c.asked, c.bytes
	c.asked, c.bytes = nil, 0
	return asked, bytes
}

type counted struct {
	http.ResponseWriter

	status, bytes int
}

func (c *counted) WriteHeader(status int) { c.status = status; c.ResponseWriter.WriteHeader(status) }

func (c *counted) Write(b []byte) (int, error) {
	n, err := c.ResponseWriter.Write(b)
	c.bytes += n
	return n, err
}

// Unwrap lets the proxy flush.
func (c *counted) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// packedAs is chart web 1.2.3 that says a word.
func packedAs(t testing.TB, word string) []byte {
	t.Helper()
	return pack(t, map[string]string{"web/Chart.yaml": minimalChart, "web/templates/word": word})
}

// word fetches chart web as a new process does, and returns what it says.
func word(t testing.TB, cache string, where Repository) (string, error) {
	t.Helper()
	e, err := New(&rest.Config{Host: "http://127.0.0.1:1"}, Options{Cache: cache})
	if err != nil {
		t.Fatal(err)
	}
	spec, err := Spec{Name: "web", Namespace: "shop", Chart: Chart{Repository: &where}}.complete()
	if err != nil {
		t.Fatal(err)
	}
	files, err := (&run{engine: e, spec: spec}).fetch(t.Context())
	for _, f := range files {
		if f.Name == "templates/word" {
			return string(f.Data), err
		}
	}
	return "", err
}

// shop is a repository that counts, and the directory for what is kept of it.
type shop struct {
	testing.TB
	*counter

	served *chartsOf
	where  Repository
	cache  string
}

func newShop(t testing.TB) *shop {
	s := &shop{TB: t, served: &chartsOf{files: map[string][]byte{}, asked: map[string]int{}}, cache: t.TempDir()}
	s.counter = &counter{next: s.served}
	server := httptest.NewServer(s.counter)
	t.Cleanup(server.Close)
	s.where = Repository{URL: server.URL, Chart: "web", Username: helmtest.User, Password: helmtest.Password}
	return s
}

// publish replaces version 1.2.3; the digest of an index is the chart's or "".
func (s *shop) publish(word string, withDigest bool) {
	s.Helper()
	chart := packedAs(s, word)
	digest := ""
	if withDigest {
		digest = hexSum(chart)
	}
	s.served.mu.Lock()
	defer s.served.mu.Unlock()
	s.served.files["/web.tgz"] = chart
	s.served.files["/index.yaml"] = fmt.Appendf(nil, "apiVersion: v1\nentries:\n  web:\n  - {apiVersion: v2, name: web, version: 1.2.3, digest: %q, urls: [web.tgz]}\n", digest)
}

// expect fetches the chart as a new process and compares what that took.
func (s *shop) expect(want string, asked ...string) (bytes int) {
	s.Helper()
	got, err := word(s, s.cache, s.where)
	if err != nil || got != want {
		s.Fatalf("%q, %v, want %q", got, err, want)
	}
	was, bytes := s.since()
	if diff := cmp.Diff(asked, was); diff != "" {
		s.Fatal(diff)
	}
	return bytes
}

func TestAnUnchangedChartCostsOneEmptyAnswer(t *testing.T) {
	s := newShop(t)
	s.publish("one", true)
	s.expect("one", "GET /index.yaml 200", "GET /web.tgz 200")
	for range 3 {
		if n := s.expect("one", "GET /index.yaml 304"); n != 0 {
			t.Errorf("%d bytes were sent", n)
		}
	}
	s.publish("two", true) // the same version, replaced
	s.expect("two", "GET /index.yaml 200", "GET /web.tgz 200")
	s.publish("one", true) // and back: it is still known
	s.expect("one", "GET /index.yaml 200")
}

func TestAChartWithoutADigestIsAskedForAgain(t *testing.T) {
	s := newShop(t)
	s.publish("one", false)
	s.expect("one", "GET /index.yaml 200", "GET /web.tgz 200")
	if n := s.expect("one", "GET /index.yaml 304", "GET /web.tgz 304"); n != 0 {
		t.Errorf("%d bytes were sent", n)
	}
	s.publish("two", false) // which the index does not tell
	s.expect("two", "GET /index.yaml 304", "GET /web.tgz 200")
}

func TestWhatIsKeptIsNotForOthers(t *testing.T) {
	s := newShop(t)
	s.publish("one", true)
	s.expect("one", "GET /index.yaml 200", "GET /web.tgz 200")
	for _, other := range []Repository{{Username: helmtest.User, Password: "guessed"}, {}} {
		other.URL, other.Chart = s.where.URL, s.where.Chart
		if got, err := word(t, s.cache, other); err == nil || got != "" || !strings.Contains(err.Error(), "401 Unauthorized") {
			t.Errorf("%q, %v", got, err)
		}
	}
	s.since()
	s.served.mu.Lock()
	s.served.revoked = true
	s.served.mu.Unlock()
	if got, err := word(t, s.cache, s.where); err == nil || got != "" { // the credentials were taken away
		t.Errorf("%q, %v", got, err)
	}
}

func TestNothingKeptIsBelievedWithoutItsDigest(t *testing.T) {
	s := newShop(t)
	s.publish("one", true)
	s.expect("one", "GET /index.yaml 200", "GET /web.tgz 200")
	forged := packedAs(t, "forged")
	kept, err := filepath.Glob(filepath.Join(s.cache, "*"+chartFile))
	if err != nil || len(kept) != 1 {
		t.Fatal(kept, err)
	}
	for name, text := range map[string]string{
		"cut short":       `{"sum":`,
		"another digest":  fmt.Sprintf("{%q:%q}\n%s", "sum", hexSum(forged), forged),
		"the same digest": fmt.Sprintf("{%q:%q}\n%s", "sum", hexSum(packedAs(t, "one")), forged),
	} {
		if err := os.WriteFile(kept[0], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Log(name)
		s.expect("one", "GET /index.yaml 304", "GET /web.tgz 200")
	}
	if err := os.WriteFile(kept[0], make([]byte, maxArchive+maxNote+1), 0o600); err != nil {
		t.Fatal(err)
	}
	s.expect("one", "GET /index.yaml 304", "GET /web.tgz 200")
	answers, err := filepath.Glob(filepath.Join(s.cache, "*"+answerFile))
	if err != nil || len(answers) != 1 {
		t.Fatal(answers, err)
	}
	if err := os.WriteFile(answers[0], []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.expect("one", "GET /index.yaml 200")
}

// TestDatesAreTrustedForAWhile: Go's server of files, as many others, knows no
// ETag, and takes every older file for unchanged.
func TestDatesAreTrustedForAWhile(t *testing.T) {
	dir, cache := t.TempDir(), t.TempDir()
	c := &counter{next: http.FileServer(http.Dir(dir))}
	server := httptest.NewServer(c)
	defer server.Close()
	s := &shop{TB: t, counter: c, where: Repository{URL: server.URL, Chart: "web"}, cache: cache}
	write := func(text string, ago time.Duration) {
		t.Helper()
		chart := packedAs(t, text)
		index := fmt.Sprintf("apiVersion: v1\nentries:\n  web:\n  - {apiVersion: v2, name: web, version: 1.2.3, digest: %s, urls: [web.tgz]}\n", hexSum(chart))
		then := time.Now().Add(-ago)
		for name, text := range map[string]string{"web.tgz": string(chart), "index.yaml": index} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(filepath.Join(dir, name), then, then); err != nil {
				t.Fatal(err)
			}
		}
	}
	write("one", 0)
	s.expect("one", "GET /index.yaml 200", "GET /web.tgz 200")
	s.expect("one", "GET /index.yaml 200") // it may have changed in the same second
	write("one", time.Hour)
	s.expect("one", "GET /index.yaml 200")
	s.expect("one", "GET /index.yaml 304")
	write("two", 2*time.Hour) // restored from a copy
	s.expect("one", "GET /index.yaml 304")
	answers, err := filepath.Glob(filepath.Join(cache, "*"+answerFile))
	if err != nil || len(answers) != 1 {
		t.Fatal(answers, err)
	}
	key := strings.TrimSuffix(filepath.Base(answers[0]), answerFile)
	said := shelf(cache).answer(key)
	said.Read = said.Read.Add(-trustDates)
	shelf(cache).keepAnswer(key, said)
	s.expect("two", "GET /index.yaml 200", "GET /web.tgz 200")
}

// TestNothingIsKeptNowhere: a shelf without a directory touches none.
func TestNothingIsKeptNowhere(t *testing.T) {
	t.Chdir(t.TempDir())
	for i := range maxKept + 2 {
		if err := os.WriteFile(fmt.Sprint(i, chartFile), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	shelf("").keepChart("key", []byte("chart"), note{})
	if left, err := filepath.Glob("*"); err != nil || len(left) != maxKept+2 {
		t.Errorf("%q, %v", left, err)
	}
	if got, _ := shelf("").chart("key"); got != nil {
		t.Errorf("%q is kept", got)
	}
}

func TestOnlySoMuchIsKept(t *testing.T) {
	s := shelf(t.TempDir())
	for i := range maxAnswers + 3 {
		s.keepAnswer(fmt.Sprint(i), resolved{Address: "x"})
	}
	for i := range maxKept + 3 {
		s.keepChart(fmt.Sprint(i), []byte("chart"), note{})
	}
	s.keepAnswer("large", resolved{Address: strings.Repeat("x", maxNote)})
	entries, err := os.ReadDir(string(s))
	if err != nil || len(entries) != maxAnswers+maxKept {
		t.Errorf("%d files, %v", len(entries), err)
	}
	if got, _ := s.chart(fmt.Sprint(maxKept + 2)); string(got) != "chart" {
		t.Errorf("%q", got)
	}
	if v := verifierOf(http.Header{"Etag": {strings.Repeat("x", maxVerifier+1)}}, time.Now()); v != (verifier{}) {
		t.Errorf("%+v", v)
	}
	shelf("").keepChart("x", []byte("chart"), note{}) // nowhere
	if got, _ := shelf("").chart("x"); got != nil {
		t.Errorf("%q", got)
	}
}

func TestAnUnchangedChartOfARegistryIsNotPulled(t *testing.T) {
	host := helmtest.RegistryServer(t)
	c := &counter{next: httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: host})}
	server := httptest.NewServer(c)
	defer server.Close()
	client, err := helmregistry.NewClient(helmregistry.ClientOptPlainHTTP(), helmregistry.ClientOptBasicAuth(helmtest.User, helmtest.Password))
	if err != nil {
		t.Fatal(err)
	}
	push := func(word string) {
		t.Helper()
		if _, err := client.Push(packedAs(t, word), host+"/charts/web:1.2.3"); err != nil {
			t.Fatal(err)
		}
	}
	where := Repository{
		URL: "oci://" + strings.TrimPrefix(server.URL, "http://") + "/charts", Chart: "web", Version: "1.2.3",
		Username: helmtest.User, Password: agentconfig.Secret(helmtest.Password), PlainHTTP: true,
	}
	s := &shop{TB: t, counter: c, where: where, cache: t.TempDir()}
	const (
		refused = "HEAD /v2/charts/web/manifests/1.2.3 401"
		head    = "HEAD /v2/charts/web/manifests/1.2.3 200"
	)
	pulled := func(want string) {
		t.Helper()
		if got, err := word(t, s.cache, where); err != nil || got != want {
			t.Fatalf("%q, %v, want %q", got, err, want)
		}
		if asked, _ := s.since(); !strings.Contains(strings.Join(asked, " "), "/blobs/") {
			t.Fatalf("not pulled: %q", asked)
		}
	}
	push("one")
	pulled("one")
	for range 2 {
		if n := s.expect("one", refused, head); n > 20 { // of the refusal
			t.Errorf("%d bytes were sent", n)
		}
	}
	push("two") // the tag moves
	pulled("two")
	s.expect("two", refused, head)

	// A chart in the place of another is not taken for it.
	kept, err := filepath.Glob(filepath.Join(s.cache, "*"+chartFile))
	if err != nil || len(kept) != 2 {
		t.Fatal(kept, err)
	}
	forged := packedAs(t, "forged")
	for _, file := range kept {
		key := strings.TrimSuffix(filepath.Base(file), chartFile)
		_, n := shelf(s.cache).chart(key)
		shelf(s.cache).keepChart(key, forged, n)
	}
	pulled("two")
	where.Password = "guessed"
	if got, err := word(t, s.cache, where); err == nil || got != "" || !strings.Contains(err.Error(), "check the credentials") {
		t.Errorf("%q, %v", got, err)
	}
}

func FuzzKept(f *testing.F) {
	f.Add([]byte(`{"sum":"x","etag":"y"}` + "\nchart"))
	f.Add([]byte(`{"address":"https://x/y","digest":"z"}`))
	s := shelf(f.TempDir())
	f.Fuzz(func(t *testing.T, text []byte) {
		s.write("k"+chartFile, text)
		s.write("k"+answerFile, text)
		if packed, n := s.chart("k"); packed != nil && n.Sum != hexSum(packed) {
			t.Errorf("%q is not what %q is of", packed, n.Sum)
		}
		s.answer("k")
	})
}
