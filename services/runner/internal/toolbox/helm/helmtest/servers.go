package helmtest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// Whom the test servers let in.
const (
	User     = "robot"
	Password = "s3cret"
)

func authorized(w http.ResponseWriter, r *http.Request) bool {
	if user, password, ok := r.BasicAuth(); ok && user == User && password == Password {
		return true
	}
	w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
	http.Error(w, "who are you", http.StatusUnauthorized)
	return false
}

// ChartServer is an HTTP repository of the files in dir, for User alone.
func ChartServer(t *testing.T, dir string) *httptest.Server {
	t.Helper()
	files := http.FileServer(http.Dir(dir))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if authorized(w, r) {
			files.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return server
}

// ociRegistry is the part of an OCI registry that clients need to push and
// pull, strict about digests, for User alone.
type ociRegistry struct {
	mu        sync.Mutex
	blobs     map[string][]byte
	manifests map[string][]byte // by "name:tag" and "name@digest"
	types     map[string]string
}

// RegistryServer returns the host:port of a plain HTTP registry.
func RegistryServer(t *testing.T) string {
	t.Helper()
	o := &ociRegistry{blobs: map[string][]byte{}, manifests: map[string][]byte{}, types: map[string]string{}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if authorized(w, r) {
			o.serve(w, r)
		}
	}))
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func (o *ociRegistry) serve(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	path := strings.TrimPrefix(r.URL.Path, "/v2/")
	switch {
	case path == "":
	case strings.Contains(path, "/blobs/uploads/"):
		o.upload(w, r, path)
	case strings.Contains(path, "/blobs/"):
		_, digest, _ := strings.Cut(path, "/blobs/")
		answer(w, r, o.blobs[digest], "application/octet-stream")
	case strings.Contains(path, "/manifests/"):
		name, reference, _ := strings.Cut(path, "/manifests/")
		o.manifest(w, r, name, reference)
	case strings.HasSuffix(path, "/tags/list"):
		o.tags(w, strings.TrimSuffix(path, "/tags/list"))
	default:
		http.NotFound(w, r)
	}
}

func answer(w http.ResponseWriter, r *http.Request, body []byte, kind string) {
	if body == nil {
		http.Error(w, `{"errors":[{"code":"NAME_UNKNOWN","message":"not here"}]}`, http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Docker-Content-Digest", digestOf(body))
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}

func (o *ociRegistry) upload(w http.ResponseWriter, r *http.Request, path string) {
	switch r.Method {
	case http.MethodPost:
		w.Header().Set("Location", "/v2/"+path+"1")
		w.WriteHeader(http.StatusAccepted)
	case http.MethodPut:
		body, _ := io.ReadAll(r.Body)
		digest := r.URL.Query().Get("digest")
		if digestOf(body) != digest {
			http.Error(w, "digest does not match", http.StatusBadRequest)
			return
		}
		o.blobs[digest] = body
		w.WriteHeader(http.StatusCreated)
	default:
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}

func (o *ociRegistry) manifest(w http.ResponseWriter, r *http.Request, name, reference string) {
	if r.Method != http.MethodPut {
		key := name + ":" + reference
		answer(w, r, o.manifests[key], o.types[key])
		return
	}
	body, _ := io.ReadAll(r.Body)
	for _, key := range []string{name + ":" + reference, name + ":" + digestOf(body)} {
		o.manifests[key], o.types[key] = body, r.Header.Get("Content-Type")
	}
	w.Header().Set("Docker-Content-Digest", digestOf(body))
	w.WriteHeader(http.StatusCreated)
}

func (o *ociRegistry) tags(w http.ResponseWriter, name string) {
	tags := []string{}
	for key := range o.manifests {
		if tag, ok := strings.CutPrefix(key, name+":"); ok && !strings.HasPrefix(tag, "sha256:") {
			tags = append(tags, tag)
		}
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"name": name, "tags": tags})
}
