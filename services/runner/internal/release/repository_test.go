package release

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	helmregistry "helm.sh/helm/v3/pkg/registry"
	"k8s.io/client-go/rest"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/services/runner/internal/toolbox/helm/helmtest"
)

// packed is chart web of a version.
func packed(t testing.TB, version string) []byte {
	t.Helper()
	return pack(t, map[string]string{
		"web/Chart.yaml":          "apiVersion: v2\nname: web\nversion: " + version + "\n",
		"web/templates/conf.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\n",
	})
}

func newEngine(t testing.TB) *Engine {
	t.Helper()
	e, err := New(&rest.Config{Host: "http://127.0.0.1:1"}, Options{Cache: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// version fetches a chart and returns its version.
func (e *Engine) version(t testing.TB, where Repository) (string, error) {
	t.Helper()
	spec, err := Spec{Name: "web", Namespace: "shop", Chart: Chart{Repository: &where}}.complete()
	if err != nil {
		return "", err
	}
	r := &run{engine: e, spec: spec}
	got, err := r.fetch(t.Context())
	if err != nil {
		return "", err
	}
	ch, err := got.load()
	if err != nil {
		return "", err
	}
	return ch.Metadata.Version, nil
}

// chartsOf is a repository that counts its answers by path, with an ETag for its
// index.
type chartsOf struct {
	mu    sync.Mutex
	files map[string][]byte
	asked map[string]int

	revoked bool // lets nobody in
}

func (c *chartsOf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	text, ok := c.files[r.URL.Path]
	if user, password, _ := r.BasicAuth(); c.revoked || user != helmtest.User || password != helmtest.Password {
		http.Error(w, "who are you", http.StatusUnauthorized)
		return
	}
	etag := `"` + hexSum(text) + `"`
	switch {
	case !ok:
		http.NotFound(w, r)
	case r.Header.Get("If-None-Match") == etag:
		c.asked[r.URL.Path+" unchanged"]++
		w.WriteHeader(http.StatusNotModified)
	default:
		c.asked[r.URL.Path]++
		w.Header().Set("ETag", etag)
		_, _ = w.Write(text)
	}
}

// index lists versions with their digests.
func index(charts map[string][]byte) []byte {
	var b strings.Builder
	b.WriteString("apiVersion: v1\nentries:\n  web:\n")
	for version, text := range charts {
		fmt.Fprintf(&b, "  - {apiVersion: v2, name: web, version: %s, digest: %s, urls: [web-%s.tgz]}\n", version, hexSum(text), version)
	}
	return []byte(b.String())
}

func TestRepositories(t *testing.T) {
	charts := map[string][]byte{}
	served := &chartsOf{files: map[string][]byte{}, asked: map[string]int{}}
	for _, version := range []string{"1.2.3", "1.3.0", "2.0.0-beta.1"} {
		charts[version] = packed(t, version)
		served.files["/charts/web-"+version+".tgz"] = charts[version]
	}
	served.files["/charts/index.yaml"] = index(charts)
	server := httptest.NewServer(served)
	defer server.Close()
	where := Repository{URL: server.URL + "/charts", Chart: "web", Username: helmtest.User, Password: helmtest.Password}
	e := newEngine(t)
	for version, want := range map[string]string{
		"": "1.3.0", "1.2.3": "1.2.3", "~1.2": "1.2.3", ">=1": "1.3.0", ">=2.0.0-0": "2.0.0-beta.1",
	} {
		where.Version = version
		if got, err := e.version(t, where); err != nil || got != want {
			t.Errorf("version %q: %q, %v, want %q", version, got, err, want)
		}
	}
	where.Version = "~1.2"
	before := served.asked["/charts/web-1.2.3.tgz"]
	for range 3 {
		if _, err := e.version(t, where); err != nil {
			t.Fatal(err)
		}
	}
	if served.asked["/charts/web-1.2.3.tgz"] != before || served.asked["/charts/index.yaml unchanged"] < 3 {
		t.Errorf("asked %v, want what has not changed not to be fetched again", served.asked)
	}

	// What is kept is not believed blindly, and is not for others.
	kept, err := filepath.Glob(filepath.Join(e.options.Cache, "*.tgz"))
	if err != nil || len(kept) != 3 {
		t.Fatalf("%q, %v", kept, err)
	}
	for _, name := range kept {
		if err := os.WriteFile(name, []byte("cut short"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := e.version(t, where); err != nil || got != "1.2.3" {
		t.Error(got, err)
	}
	where.Password = "guessed"
	if _, err := e.version(t, where); err == nil || !strings.Contains(err.Error(), "401 Unauthorized; check the credentials") {
		t.Error(err)
	}
}

func TestRepositoryFaults(t *testing.T) {
	chart := packed(t, "1.2.3")
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("credentials went to another server")
		}
		_, _ = w.Write(chart)
	}))
	defer elsewhere.Close()
	served := &chartsOf{files: map[string][]byte{"/a-1.tgz": chart}, asked: map[string]int{}}
	server := httptest.NewServer(served)
	defer server.Close()
	entry := func(digest, address string) string {
		return "apiVersion: v1\nentries:\n  web:\n  - {apiVersion: v2, name: web, version: 1.2.3, digest: " + digest + ", urls: [" + address + "]}\n"
	}
	for name, tt := range map[string]struct{ index, version, want string }{
		"elsewhere":       {index: entry("", elsewhere.URL+"/x.tgz")},
		"no index":        {want: "404 Not Found"},
		"not an index":    {index: "hello", want: "index.yaml: "},
		"another digest":  {index: entry("abc", "a-1.tgz"), want: "but the index says abc"},
		"no version":      {index: entry("", "a-1.tgz"), version: "2", want: "has no version 2"},
		"no chart":        {index: "apiVersion: v1\nentries: {}\n", want: "has no version that is released"},
		"no address":      {index: "apiVersion: v1\nentries:\n  web:\n  - {apiVersion: v2, name: web, version: 1.2.3}\n", want: "no address"},
		"a file":          {index: entry("", "file:///etc/passwd"), want: "not HTTP"},
		"gone":            {index: entry("", "b.tgz"), want: "b.tgz: 404"},
		"a large chart":   {index: entry("", "large.tgz"), want: "limit exceeded"},
		"no chart at all": {index: entry("", "index.yaml"), want: "not a packed chart"},
	} {
		t.Run(name, func(t *testing.T) {
			served.mu.Lock()
			delete(served.files, "/index.yaml")
			if tt.index != "" {
				served.files["/index.yaml"] = []byte(tt.index)
			}
			served.files["/large.tgz"] = make([]byte, maxArchive+1)
			served.mu.Unlock()
			_, err := newEngine(t).version(t, Repository{
				URL: server.URL, Chart: "web", Version: tt.version, Username: helmtest.User, Password: helmtest.Password,
			})
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			if err != nil && !strings.HasPrefix(err.Error(), "release shop/web: chart web of "+server.URL) {
				t.Errorf("error %v does not name the release and the chart", err)
			}
		})
	}
	for _, where := range []Repository{
		{URL: "ftp://x/y", Chart: "web"},
		{URL: "https://user:hush@x/y", Chart: "web"},
		{URL: "https://x/y", Chart: "../web"},
		{URL: "https://x/y", Chart: "web", Version: "newest"},
	} {
		if _, err := newEngine(t).version(t, where); err == nil || !strings.Contains(err.Error(), "source.repository: ") || strings.Contains(err.Error(), "hush") {
			t.Errorf("%+v: %v", where, err)
		}
	}
}

func TestRegistries(t *testing.T) {
	host := helmtest.RegistryServer(t)
	client, err := helmregistry.NewClient(helmregistry.ClientOptPlainHTTP(), helmregistry.ClientOptBasicAuth(helmtest.User, helmtest.Password))
	if err != nil {
		t.Fatal(err)
	}
	push := func(version string) {
		t.Helper()
		ref := host + "/charts/web:" + strings.ReplaceAll(version, "+", "_")
		if _, err := client.Push(packed(t, version), ref, helmregistry.PushOptStrictMode(false)); err != nil {
			t.Fatal(err)
		}
	}
	for _, version := range []string{"1.2.3", "1.3.0", "1.3.1+build.5", "2.0.0-rc.1"} {
		push(version)
	}
	e := newEngine(t)
	where := Repository{
		URL: "oci://" + host + "/charts/", Chart: "web", Username: helmtest.User, Password: agentconfig.Secret(helmtest.Password), PlainHTTP: true,
	}
	for version, want := range map[string]string{
		"": "1.3.1+build.5", "1.3.1+build.5": "1.3.1+build.5", "1.2.3": "1.2.3", "~1.2": "1.2.3", "^1": "1.3.1+build.5", ">=2-0": "2.0.0-rc.1",
	} {
		where.Version = version
		for range 2 { // the second time from what was kept
			if got, err := e.version(t, where); err != nil || got != want {
				t.Errorf("version %q: %q, %v, want %q", version, got, err, want)
			}
		}
	}
	for version, want := range map[string]string{"3": "no version 3", "9.9.9": "not found"} {
		where.Version = version
		if _, err := e.version(t, where); err == nil || !strings.Contains(strings.ToLower(err.Error()), want) {
			t.Errorf("version %q: %v, want %q", version, err, want)
		}
	}
	where.Version, where.Password = "1.2.3", ""
	if _, err := e.version(t, where); err == nil || !strings.Contains(err.Error(), "check the credentials") {
		t.Error(err)
	}
}
