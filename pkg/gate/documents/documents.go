package documents

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Limits of what is kept. The OpenAPI documents of a plain cluster have 15 MB.
const (
	maxDocument = 16 << 20
	maxBytes    = 64 << 20
	maxEntries  = 256
	maxKey      = 2 << 10 // of path, query and headers together
)

// patience bounds the wait for another job that is fetching the same document.
const patience = 10 * time.Second

// Cache keeps documents. It is safe for concurrent use.
type Cache struct {
	prefix string // of the API server's address

	mu       sync.Mutex
	entries  map[string]*document
	order    []string // keys, the longest unused first
	bytes    int
	fetching map[string]chan struct{}
}

// document is one answer with an ETag.
type document struct {
	etag   string
	header http.Header
	body   []byte
}

// New returns an empty Cache for an API server whose paths begin with prefix.
func New(prefix string) *Cache {
	return &Cache{prefix: strings.TrimSuffix(prefix, "/"), entries: map[string]*document{}, fetching: map[string]chan struct{}{}}
}

// Transport returns one that asks next, which speaks for one identity, and takes
// bodies from the cache where the API server says that they are current.
func (c *Cache) Transport(next http.RoundTripper) http.RoundTripper { return asking{c, next} }

type asking struct {
	cache *Cache
	next  http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (a asking) RoundTrip(r *http.Request) (*http.Response, error) {
	key, ok := a.cache.key(r)
	if !ok {
		return a.next.RoundTrip(r)
	}
	kept, fetched := a.cache.find(r.Context(), key)
	defer fetched()
	if kept == nil {
		return a.fetch(r, key)
	}
	question := r.Clone(r.Context())
	question.Header.Set("If-None-Match", kept.etag)
	resp, err := a.next.RoundTrip(question)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusNotModified {
		return kept.answer(r, resp), nil
	}
	return a.cache.keep(key, resp)
}

func (a asking) fetch(r *http.Request, key string) (*http.Response, error) {
	resp, err := a.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	return a.cache.keep(key, resp)
}

// answer is what the API server would have sent: the kept document under the
// other headers of now.
func (d *document) answer(r *http.Request, current *http.Response) *http.Response {
	_ = current.Body.Close()
	header := current.Header.Clone()
	maps.Copy(header, d.header)
	header.Set("Content-Length", strconv.Itoa(len(d.body)))
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Proto: current.Proto, ProtoMajor: current.ProtoMajor, ProtoMinor: current.ProtoMinor,
		Header: header, Body: io.NopCloser(bytes.NewReader(d.body)), ContentLength: int64(len(d.body)), Request: r,
	}
}

// key names the document that a request asks for, if it is one that is kept. A
// client that asks about its own copy gets the API server's answer.
func (c *Cache) key(r *http.Request) (string, bool) {
	path, ok := strings.CutPrefix(r.URL.Path, c.prefix)
	if r.Method != http.MethodGet || !ok || !describesAPI(path) {
		return "", false
	}
	for _, header := range []string{"If-None-Match", "If-Modified-Since", "If-Match", "If-Unmodified-Since", "Range"} {
		if r.Header.Get(header) != "" {
			return "", false
		}
	}
	query := r.URL.Query()
	query.Del("timeout") // of the client, which does not change the answer
	for name := range query {
		if name != "hash" { // of an OpenAPI document, in the addresses that the index gives
			return "", false
		}
	}
	key := strings.Join([]string{
		path, query.Encode(), strings.Join(r.Header.Values("Accept"), ","), strings.Join(r.Header.Values("Accept-Encoding"), ","),
	}, "\n")
	return key, len(key) <= maxKey
}

// describesAPI says whether a path is one of a document with an ETag: aggregated
// discovery and OpenAPI. Others (/version, /api/v1) have none and are small.
func describesAPI(path string) bool {
	return path == "/api" || path == "/apis" || path == "/openapi/v2" || strings.HasPrefix(path, "/openapi/v3/")
}

// find returns the kept document. Where there is none, the caller is the one to
// fetch it, and others wait until it calls fetched.
func (c *Cache) find(ctx context.Context, key string) (kept *document, fetched func()) {
	none := func() {}
	for waited := false; ; waited = true {
		c.mu.Lock()
		if d := c.entries[key]; d != nil {
			c.order = append(slices.DeleteFunc(c.order, func(k string) bool { return k == key }), key)
			c.mu.Unlock()
			return d, none
		}
		other, busy := c.fetching[key]
		if !busy {
			mine := make(chan struct{})
			c.fetching[key] = mine
			c.mu.Unlock()
			return nil, func() {
				c.mu.Lock()
				delete(c.fetching, key)
				c.mu.Unlock()
				close(mine)
			}
		}
		c.mu.Unlock()
		if waited {
			return nil, none // whoever fetches has no luck: everybody asks for themselves
		}
		timer := time.NewTimer(patience)
		select {
		case <-other:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// keep stores an answer that may be kept and returns it with its body to be
// read.
func (c *Cache) keep(key string, resp *http.Response) (*http.Response, error) {
	etag := resp.Header.Get("Etag")
	if resp.StatusCode != http.StatusOK || etag == "" || strings.HasPrefix(etag, "W/") || !variesByKeyOnly(resp.Header) || resp.ContentLength > maxDocument {
		return resp, nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	if err != nil {
		_ = resp.Body.Close()
		return nil, err
	}
	if len(body) > maxDocument {
		resp.Body = rest{io.MultiReader(bytes.NewReader(body), resp.Body), resp.Body}
		return resp, nil
	}
	_ = resp.Body.Close()
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	c.store(key, &document{etag: etag, header: lasting(resp.Header), body: body})
	return resp, nil
}

type rest struct {
	io.Reader
	io.Closer
}

// lasting are the headers that belong to the document; the others belong to one
// request.
func lasting(h http.Header) http.Header {
	out := http.Header{}
	for _, name := range []string{"Content-Type", "Content-Encoding", "Etag", "Last-Modified", "Vary", "Cache-Control", "Expires"} {
		if values := h.Values(name); len(values) > 0 {
			out[name] = slices.Clone(values)
		}
	}
	return out
}

// variesByKeyOnly says whether everything that the answer depends on is in the
// key.
func variesByKeyOnly(h http.Header) bool {
	for _, line := range h.Values("Vary") {
		for name := range strings.SplitSeq(line, ",") {
			switch http.CanonicalHeaderKey(strings.TrimSpace(name)) {
			case "Accept", "Accept-Encoding":
			default:
				return false
			}
		}
	}
	return true
}

func (c *Cache) store(key string, d *document) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(key)
	c.entries[key] = d
	c.order = append(c.order, key)
	c.bytes += len(d.body)
	for c.bytes > maxBytes || len(c.entries) > maxEntries {
		c.drop(c.order[0])
	}
}

func (c *Cache) drop(key string) {
	d := c.entries[key]
	if d == nil {
		return
	}
	delete(c.entries, key)
	c.order = slices.DeleteFunc(c.order, func(k string) bool { return k == key })
	c.bytes -= len(d.body)
}
