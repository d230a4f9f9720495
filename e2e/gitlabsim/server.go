package gitlabsim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Server is one simulated GitLab. All its methods may be called concurrently.
type Server struct {
	opts Options
	url  string
	ln   net.Listener
	http *http.Server
	git  *gitStore
	keys *signer
	done chan struct{}
	// router is the job router, if there is one.
	router *routerServer

	mu       sync.Mutex
	st       *state
	changed  chan struct{} // closed and replaced at every change
	outage   bool
	outageCh chan struct{} // closed when an outage begins
}

// Start listens and serves until Close.
func Start(opts Options) (*Server, error) {
	opts = opts.withDefaults()
	store, err := newGitStore(opts.DataDir)
	if err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", opts.Addr)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listen on %s: %w", opts.Addr, err), store.close())
	}
	s := &Server{
		opts: opts, ln: ln, git: store, keys: &signer{}, st: newState(),
		changed: make(chan struct{}), outageCh: make(chan struct{}), done: make(chan struct{}),
	}
	s.url = strings.TrimSuffix(opts.ExternalURL, "/")
	if s.url == "" {
		s.url = "http://" + ln.Addr().String()
	}
	s.st.users["root"] = &user{User: User{ID: s.st.next("user"), Username: "root", Name: "Administrator", Email: "root@example.com"}, admin: true}
	if opts.FirstJob > 0 {
		s.st.last["job"] = opts.FirstJob - 1
	}
	if opts.Fill != nil {
		if err := opts.Fill(s); err != nil {
			return nil, errors.Join(fmt.Errorf("fill: %w", err), ln.Close(), store.close())
		}
	}
	s.router = s.newRouter()
	s.http = &http.Server{Handler: s.handler(), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		defer close(s.done)
		_ = s.http.Serve(ln)
	}()
	return s, nil
}

// URL is the external URL, without a trailing slash.
func (s *Server) URL() string { return s.url }

// Addr is the address the server listens on.
func (s *Server) Addr() string { return s.ln.Addr().String() }

// Close ends all connections and removes a temporary data directory.
func (s *Server) Close() error {
	s.SetOutage(true) // releases blocked polls
	s.router.close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		_ = s.http.Close()
	}
	<-s.done
	return s.git.close()
}

func (s *Server) now() time.Time { return s.opts.Now() }

// touch announces a change of state to all waiters; the mutex is held.
func (s *Server) touch() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// handler routes every endpoint.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	route := func(pattern string, ep Endpoint, h http.HandlerFunc) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { s.serve(ep, h, w, r) })
	}
	const v4 = "/api/v4"
	route("POST "+v4+"/runners/verify", RunnersVerify, s.verifyRunner)
	route("DELETE "+v4+"/runners/managers", RunnersOther, s.deleteManager)
	route("DELETE "+v4+"/runners", RunnersOther, s.unregisterRunner)
	route("POST "+v4+"/runners/reset_authentication_token", RunnersOther, s.resetRunnerToken)
	route("GET "+v4+"/runners/router/discovery", RunnersOther, s.routerDiscovery)
	route("POST "+v4+"/jobs/request", JobsRequest, s.requestJob)
	route("PATCH "+v4+"/jobs/{job}/trace", PatchTrace, s.patchTrace)
	route("PUT "+v4+"/jobs/{job}", PutJob, s.putJob)
	route("POST "+v4+"/jobs/{job}/artifacts", UploadArtifact, s.uploadArtifact)
	route("GET "+v4+"/jobs/{job}/artifacts", DownloadArtifact, s.downloadArtifact)
	route("GET /_objects/{object}", DownloadArtifact, s.downloadObject)
	route("GET "+v4+"/job", JobAPI, s.currentJob)
	route("GET "+v4+"/job/allowed_agents", AllowedAgents, s.allowedAgents)
	route("GET "+v4+"/projects/{project}", ProjectAPI, s.getProject)
	route("GET "+v4+"/projects/{project}/environments", EnvironmentsAPI, s.listEnvironments)
	route("GET "+v4+"/projects/{project}/environments/{environment}", EnvironmentsAPI, s.getEnvironment)
	route("GET "+v4+"/projects/{project}/repository/files/{path}/raw", RawFile, s.rawFile)
	route("GET "+v4+"/projects/{project}/repository/commits/{ref}", Repository, s.getCommit)
	route("GET "+v4+"/projects/{project}/repository/merge_base", Repository, s.getMergeBase)
	route("GET "+v4+"/projects/{project}/repository/tags", Repository, s.listTags)
	route("GET "+v4+"/projects/{project}/repository/branches/{ref}", Repository, s.getRef(false))
	route("GET "+v4+"/projects/{project}/repository/tags/{ref}", Repository, s.getRef(true))
	route("GET "+v4+"/projects/{project}/variables", VariablesAPI, s.listVariables)
	route("GET "+v4+"/projects/{project}/repository/archive.tar.gz", Archive, s.getArchive)
	route("POST "+v4+"/projects/{project}/statuses/{sha}", Statuses, s.setStatus)
	route("POST "+v4+"/projects/{project}/deployments", Deployments, s.createDeployment)
	route("PUT "+v4+"/projects/{project}/deployments/{deployment}", Deployments, s.updateDeployment)
	route("GET /oauth/discovery/keys", Keys, s.serveKeys)
	route("GET /-/jwks", Keys, s.serveKeys)
	route("GET /.well-known/openid-configuration", Keys, s.serveDiscovery)
	mux.HandleFunc("GET "+routerPath, s.serveRouter)
	route("/", Other, s.fallback)
	mux.Handle("/_sim/", s.adminHandler())
	return mux
}

// fallback serves git repositories and refuses the rest.
func (s *Server) fallback(w http.ResponseWriter, r *http.Request) {
	if repo, service, ok := gitRequest(r); ok {
		s.serveGit(w, r, repo, service)
		return
	}
	if strings.HasPrefix(r.URL.Path, "/api/") {
		s.anomaly(Other, 0, "%s %s is not an endpoint of this GitLab", r.Method, r.URL.Path)
	}
	writeJSON(w, http.StatusNotFound, map[string]string{"error": "404 Not Found"})
}

// serve is the way of every request but the admin ones: outage, faults,
// checks common to all clients, the handler, the call log.
func (s *Server) serve(ep Endpoint, h http.HandlerFunc, w http.ResponseWriter, r *http.Request) {
	if ep == Other {
		if _, _, ok := gitRequest(r); ok {
			ep = Git
		}
	}
	jobID, _ := strconv.ParseInt(r.PathValue("job"), 10, 64)
	start := s.now()
	rec := &recorder{ResponseWriter: w}
	w.Header().Set("X-Request-Id", orDefault(r.Header.Get("X-Request-Id"), randomHex(16)))
	defer func() {
		s.logCall(Call{
			At: start, Endpoint: ep, Job: jobID, Method: r.Method, Path: r.URL.RequestURI(),
			Status: rec.status, Took: s.now().Sub(start),
		})
	}()
	if s.inOutage(ep, jobID) {
		reset(w)
	}
	s.checkUserAgent(ep, jobID, r)
	f := s.takeFault(ep, jobID, ep == PutJob && isFinal(r))
	if f == nil {
		h(rec, r)
		return
	}
	s.applyFault(f, h, rec, r)
}

// recorder remembers the status that went out.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (s *Server) logCall(c Call) {
	s.mu.Lock()
	s.st.calls = append(s.st.calls, c)
	s.mu.Unlock()
	s.opts.Log.Debug("request", "endpoint", c.Endpoint, "method", c.Method, "path", c.Path, "status", c.Status, "took", c.Took)
}

// reset closes the connection under a request without an answer and ends the
// handler.
func reset(w http.ResponseWriter) {
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = conn.Close()
	}
	panic(http.ErrAbortHandler)
}
