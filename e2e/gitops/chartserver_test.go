package gitops

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/repo"

	"github.com/towline/towline/pkg/pace/pacetest"
)

// Whom the server of charts lets in.
const (
	chartUser     = "robot"
	chartPassword = "letmein-please"
)

// chartServer is a repository of charts and an OCI registry in one, and has
// values for whoever asks.
type chartServer struct {
	t    testing.TB
	dir  string
	host string
	// stuck is how often it was asked for what it hardly sends.
	stuck atomic.Int32
	// dead is how often it was asked for what it never answers, until healed.
	dead   atomic.Int32
	healed atomic.Bool

	mu     sync.Mutex
	values string
	blobs  map[string][]byte // of the registry, by path
	tags   []string
	pulls  map[string]int // packed charts that were sent, by the end of their path
}

func newChartServer(t testing.TB) *chartServer {
	t.Helper()
	s := &chartServer{t: t, dir: t.TempDir(), blobs: map[string][]byte{}, pulls: map[string]int{}}
	files := http.StripPrefix("/charts/", http.FileServer(http.Dir(s.dir)))
	mux := http.NewServeMux()
	mux.HandleFunc("/values.yaml", func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		w.Header().Set("Content-Type", "application/yaml")
		fmt.Fprint(w, s.values)
	})
	hardly := pacetest.Trickle(make([]byte, 1<<20), 1)
	mux.HandleFunc("/stuck/", func(w http.ResponseWriter, r *http.Request) {
		s.stuck.Add(1)
		hardly(w, r)
	})
	mux.HandleFunc("/dead/", s.answerLate)
	mux.Handle("/charts/", known(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.pulls[path.Base(r.URL.Path)]++
		s.mu.Unlock()
		files.ServeHTTP(w, r)
	}))
	mux.Handle("/v2/", known(s.registry))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	s.host = server.Listener.Addr().String()
	return s
}

// answerLate says nothing until the server is healed, then what is public.
func (s *chartServer) answerLate(w http.ResponseWriter, r *http.Request) {
	if !s.healed.Load() {
		s.dead.Add(1)
		pacetest.Silent(w, r)
		return
	}
	text, err := os.ReadFile(filepath.Join(s.dir, path.Base(r.URL.Path)))
	if err != nil {
		http.NotFound(w, r)
		return
	}
	_, _ = w.Write(bytes.ReplaceAll(text, []byte("/charts/"), []byte("/dead/")))
}

func known(serve http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != chartUser || password != chartPassword {
			w.Header().Set("WWW-Authenticate", `Basic realm="charts"`)
			http.Error(w, "who are you", http.StatusUnauthorized)
			return
		}
		serve(w, r)
	})
}

// publish makes a version of the chart web, with further templates.
func (s *chartServer) publish(version string, templates map[string]string) {
	s.t.Helper()
	must := func(err error) {
		s.t.Helper()
		if err != nil {
			s.t.Fatal(err)
		}
	}
	files := []*loader.BufferedFile{{Name: "Chart.yaml", Data: fmt.Appendf(nil, "apiVersion: v2\nname: web\nversion: %s\n", version)}}
	for name, text := range templates {
		files = append(files, &loader.BufferedFile{Name: "templates/" + name, Data: []byte(text)})
	}
	ch, err := loader.LoadFiles(files)
	must(err)
	packed, err := chartutil.Save(ch, s.dir)
	must(err)
	index, err := repo.IndexDirectory(s.dir, "http://"+s.host+"/charts")
	must(err)
	must(index.WriteFile(filepath.Join(s.dir, "index.yaml"), 0o600))
	text, err := os.ReadFile(packed)
	must(err)
	config, err := json.Marshal(ch.Metadata)
	must(err)
	s.push(version, config, text)
}

// push puts a version into the registry.
func (s *chartServer) push(version string, config, packed []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	descriptor := func(kind string, content []byte) map[string]any {
		s.blobs["blobs/"+digestOf(content)] = content
		return map[string]any{"mediaType": kind, "digest": digestOf(content), "size": len(content)}
	}
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": manifestType,
		"config": descriptor("application/vnd.cncf.helm.config.v1+json", config),
		"layers": []any{descriptor("application/vnd.cncf.helm.chart.content.v1.tar+gzip", packed)},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.blobs["manifests/"+version], s.blobs["manifests/"+digestOf(manifest)] = manifest, manifest
	s.tags = append(s.tags, version)
}

const manifestType = "application/vnd.oci.image.manifest.v1+json"

func digestOf(b []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(b)) }

func (s *chartServer) registry(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rest := strings.TrimPrefix(r.URL.Path, "/v2/")
	name, ok := strings.CutPrefix(rest, "charts/web/")
	switch content := s.blobs[name]; {
	case rest == "":
	case ok && name == "tags/list":
		_ = json.NewEncoder(w).Encode(map[string]any{"name": "charts/web", "tags": s.tags})
	case ok && content != nil:
		kind := "application/octet-stream"
		if strings.HasPrefix(name, "manifests/") {
			kind = manifestType
		}
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Docker-Content-Digest", digestOf(content))
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		_, _ = bytes.NewReader(content).WriteTo(w) // of HEAD the server sends none
	default:
		http.NotFound(w, r)
	}
}
