package cache

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"sync"

	"github.com/towline/towline/pkg/jobspec"
	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/services/runner/internal/archive"
)

// MaxEntry is the largest entry in bytes, packed.
const MaxEntry = 1 << 30

// ErrMissing says that a store has no such object.
var ErrMissing = errors.New("no such cache")

// Object names one entry in a store.
type Object struct {
	Project int64
	Name    string // a plain file name
	Via     string // the proxy for a job's traffic
}

// Store holds objects. Put replaces an object as a whole or not at all; size is
// known and at most MaxEntry.
type Store interface {
	Get(ctx context.Context, o Object) (content io.ReadCloser, size int64, err error)
	Put(ctx context.Context, o Object, size int64, content io.Reader) error
}

// Grant is what a job process is told of its caches. The address is a secret.
type Grant struct {
	URL     string  `json:"url"`
	Entries []Entry `json:"entries"`
	Fault   string  `json:"fault,omitempty"` // what is wrong with the job's definition
}

// Server gives jobs access to their own entries. It is an http.Handler and safe
// for concurrent use.
type Server struct {
	store Store
	log   *slog.Logger
	mux   *http.ServeMux

	mu       sync.Mutex
	sessions map[string]*session
}

// session is what one job may do.
type session struct {
	job     int64
	project int64
	via     string
	entries []Entry
}

// NewServer returns a server without sessions.
func NewServer(store Store, log *slog.Logger) *Server {
	s := &Server{store: store, log: log, mux: http.NewServeMux(), sessions: map[string]*session{}}
	s.mux.HandleFunc("GET /{session}/{entry}/{key}", s.get)
	s.mux.HandleFunc("PUT /{session}/{entry}", s.put)
	return s
}

// ServeHTTP answers a job process.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Open starts a session for a job on the given loopback port; end closes it.
// via is the proxy that the job's own traffic takes.
func (s *Server) Open(job *jobspec.Job, expand func([]string) []string, port uint16, via string) (g *Grant, end func()) {
	entries, err := Resolve(job, expand)
	if err != nil {
		return &Grant{Fault: err.Error()}, func() {}
	}
	secret := rand.Text() + rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions[secret] = &session{job: job.ID, project: job.JobInfo.ProjectID, via: via, entries: entries}
	end = func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.sessions, secret)
	}
	return &Grant{URL: fmt.Sprintf("http://127.0.0.1:%d/%s", port, secret), Entries: entries}, end
}

// find is the session and the entry that a request names.
func (s *Server) find(r *http.Request) (*session, *Entry) {
	s.mu.Lock()
	session := s.sessions[r.PathValue("session")]
	s.mu.Unlock()
	if session == nil {
		return nil, nil
	}
	i, err := strconv.Atoi(r.PathValue("entry"))
	if err != nil || i < 0 || i >= len(session.entries) {
		return nil, nil
	}
	return session, &session.entries[i]
}

// object is where a key of a project lies. Names are digests: no key can name
// another's.
func (s *session) object(key string) Object {
	sum := sha256.Sum256([]byte(key))
	return Object{Project: s.project, Name: hex.EncodeToString(sum[:]) + archive.TarZstd.Extension(), Via: s.via}
}

func (s *Server) get(w http.ResponseWriter, r *http.Request) {
	session, entry := s.find(r)
	if session == nil {
		http.NotFound(w, r)
		return
	}
	k, err := strconv.Atoi(r.PathValue("key"))
	if err != nil || k < 0 || k >= len(entry.Keys) || !entry.Reads() {
		http.Error(w, "not granted", http.StatusForbidden)
		return
	}
	content, size, err := s.store.Get(r.Context(), session.object(entry.Keys[k]))
	switch {
	case errors.Is(err, ErrMissing):
		http.NotFound(w, r)
		return
	case err != nil:
		s.fail(w, session, err)
		return
	}
	defer content.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	_, _ = io.Copy(w, content)
}

func (s *Server) put(w http.ResponseWriter, r *http.Request) {
	session, entry := s.find(r)
	if session == nil {
		http.NotFound(w, r)
		return
	}
	switch {
	case len(entry.Keys) == 0 || !entry.Writes():
		http.Error(w, "not granted", http.StatusForbidden)
		return
	case r.ContentLength <= 0:
		http.Error(w, "the length is missing", http.StatusLengthRequired)
		return
	case r.ContentLength > MaxEntry:
		http.Error(w, "a cache must not be larger than "+archive.Size(MaxEntry), http.StatusRequestEntityTooLarge)
		return
	}
	err := s.store.Put(r.Context(), session.object(entry.Keys[0]), r.ContentLength, http.MaxBytesReader(w, r.Body, MaxEntry))
	if err != nil {
		s.fail(w, session, err)
		return
	}
	w.WriteHeader(http.StatusCreated)
}

// fail tells the operator what went wrong, and the job that something did.
func (s *Server) fail(w http.ResponseWriter, session *session, err error) {
	s.log.Warn("cache store failed", service.JobID(session.job), service.Err(err))
	http.Error(w, "the cache's store does not work now; the runner's log says why", http.StatusBadGateway)
}
