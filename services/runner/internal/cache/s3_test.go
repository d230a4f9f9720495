package cache

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/towline/towline/pkg/jobspec"
)

// bucket is an S3 store that accepts only requests signed as AWS documents it.
type bucket struct {
	t       testing.TB
	secret  string
	mu      sync.Mutex
	objects map[string][]byte
	paths   []string
	status  int // answers everything, if set
}

func (b *bucket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.paths = append(b.paths, r.Method+" "+r.Host+r.URL.Path)
	switch {
	case b.status != 0:
		w.WriteHeader(b.status)
	case !b.signed(r):
		http.Error(w, "<Code>SignatureDoesNotMatch</Code>", http.StatusForbidden)
	case r.Method == http.MethodPut:
		body, err := io.ReadAll(r.Body)
		if err != nil || r.ContentLength != int64(len(body)) {
			b.t.Errorf("body of %d bytes: %v", r.ContentLength, err)
		}
		b.objects[r.URL.Path] = body
	case b.objects[r.URL.Path] == nil:
		http.Error(w, "<Code>NoSuchKey</Code>", http.StatusNotFound)
	default:
		_, _ = w.Write(b.objects[r.URL.Path])
	}
}

// signed checks signature version 4.
func (b *bucket) signed(r *http.Request) bool {
	fields := map[string]string{}
	text, ok := strings.CutPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 ")
	for f := range strings.SplitSeq(text, ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(f), "=")
		fields[key] = value
	}
	scope := strings.Split(fields["Credential"], "/")
	if !ok || len(scope) != 5 || scope[0] != "access" {
		return false
	}
	canonical := r.Method + "\n" + r.URL.EscapedPath() + "\n\n"
	for name := range strings.SplitSeq(fields["SignedHeaders"], ";") {
		value := r.Header.Get(name)
		if name == "host" {
			value = r.Host
		}
		canonical += name + ":" + strings.TrimSpace(value) + "\n"
	}
	canonical += "\n" + fields["SignedHeaders"] + "\n" + r.Header.Get("X-Amz-Content-Sha256")
	sum := sha256.Sum256([]byte(canonical))
	toSign := "AWS4-HMAC-SHA256\n" + r.Header.Get("X-Amz-Date") + "\n" + strings.Join(scope[1:], "/") + "\n" + hex.EncodeToString(sum[:])
	key := []byte("AWS4" + b.secret)
	for _, part := range append(scope[1:], toSign) {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	return hex.EncodeToString(key) == fields["Signature"]
}

func newS3(t testing.TB, address string) (*S3, string) {
	t.Helper()
	dir := t.TempDir()
	access, secret := filepath.Join(dir, "access"), filepath.Join(dir, "secret")
	must(t, os.WriteFile(access, []byte("access\n"), 0o600))
	must(t, os.WriteFile(secret, []byte("s3cret\n"), 0o600))
	s, err := NewS3(S3Config{Endpoint: address, Bucket: "caches", Region: "eu-1", PathStyle: true, AccessKeyFile: access, SecretKeyFile: secret})
	must(t, err)
	return s, secret
}

// forward is a proxy that remembers who came with which credentials.
func forward(t testing.TB, to *httptest.Server) (address string, seen *[]string) {
	t.Helper()
	seen = new([]string)
	p := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*seen = append(*seen, r.Header.Get("Proxy-Authorization"))
		r.Header.Del("Proxy-Authorization")
		to.Config.Handler.ServeHTTP(w, r)
	}))
	t.Cleanup(p.Close)
	return strings.Replace(p.URL, "http://", "http://job:gr4nt@", 1), seen
}

func TestS3(t *testing.T) {
	b := &bucket{t: t, secret: "s3cret", objects: map[string][]byte{}}
	web := httptest.NewServer(b)
	defer web.Close()
	proxy, seen := forward(t, web)
	s, secretFile := newS3(t, web.URL)
	server := NewServer(s, slog.New(slog.DiscardHandler))
	loop := httptest.NewServer(server)
	defer loop.Close()
	g, end := server.Open(jobWith(nil, jobspec.Cache{Key: "k"}), expander(nil), 1, proxy)
	defer end()
	g.URL = strings.Replace(g.URL, "http://127.0.0.1:1", loop.URL, 1)
	c := NewClient(g)
	defer c.Close()
	if _, err := get(t, c, 0, 0); !errors.Is(err, ErrMissing) {
		t.Errorf("error %v", err)
	}
	must(t, put(t, c, 0, "content"))
	if got, err := get(t, c, 0, 0); err != nil || got != "content" {
		t.Errorf("%q, %v", got, err)
	}
	host := strings.TrimPrefix(web.URL, "http://")
	for _, p := range b.paths {
		if !strings.Contains(p, host+"/caches/project/20/") {
			t.Errorf("path %s", p)
		}
	}
	if len(*seen) != 3 || (*seen)[0] == "" {
		t.Errorf("the proxy saw %q", *seen)
	}
	must(t, os.WriteFile(secretFile, []byte("wrong"), 0o600)) // keys are read anew
	if err := put(t, c, 0, "x"); err == nil || strings.Contains(err.Error(), "Signature") {
		t.Errorf("the job is told %v", err)
	}
	if err := s.Put(t.Context(), Object{Project: 20, Name: "n"}, 1, strings.NewReader("x")); err == nil || !strings.Contains(err.Error(), "SignatureDoesNotMatch") {
		t.Errorf("the operator is told %v", err)
	}
	must(t, os.WriteFile(secretFile, nil, 0o600))
	if _, _, err := s.Get(t.Context(), Object{}); err == nil || !strings.Contains(err.Error(), "is empty") {
		t.Errorf("error %v", err)
	}
	for _, address := range []string{"", "s3.example.com", "ftp://x"} {
		if _, err := NewS3(S3Config{Endpoint: address}); err == nil {
			t.Errorf("%q was accepted", address)
		}
	}
}

func TestBucketInTheHostName(t *testing.T) {
	s, err := NewS3(S3Config{Endpoint: "https://s3.example.com", Bucket: "caches"})
	must(t, err)
	if s.base.String() != "https://caches.s3.example.com" {
		t.Errorf("address %s", s.base)
	}
}
