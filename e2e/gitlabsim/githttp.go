package gitlabsim

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
)

// maxGitRequest bounds the wants and haves of one fetch.
const maxGitRequest = 64 << 20

// gitRequest recognises the three smart HTTP requests below /<path>.git.
func gitRequest(r *http.Request) (repo, service string, ok bool) {
	path := strings.TrimPrefix(r.URL.Path, "/")
	for _, service := range []string{"info/refs", "git-upload-pack", "git-receive-pack"} {
		if repo, found := strings.CutSuffix(path, ".git/"+service); found {
			return repo, service, true
		}
	}
	return "", "", false
}

// serveGit lets the real git answer a fetch; pushes are refused.
func (s *Server) serveGit(w http.ResponseWriter, r *http.Request, repo, service string) {
	p := s.authGit(w, r, repo)
	if p == nil {
		return
	}
	query := r.URL.Query().Get("service")
	switch {
	case service == "info/refs" && query == "git-upload-pack":
		s.advertise(w, r, p)
	case service == "git-upload-pack" && r.Method == http.MethodPost:
		s.uploadPack(w, r, p)
	default:
		s.anomaly(Git, 0, "%s %s is not a fetch over smart HTTP", r.Method, r.URL.RequestURI())
		http.Error(w, "You are not allowed to push code to this project.", http.StatusForbidden)
	}
}

// authGit accepts gitlab-ci-token with the token of a running job, deploy
// tokens and access tokens; wrong credentials give 401, a project the caller
// may not see 404.
func (s *Server) authGit(w http.ResponseWriter, r *http.Request, repo string) *project {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.st.byPath[strings.ToLower(repo)]
	name, password, given := r.BasicAuth()
	if !given && p != nil && p.visibility == "public" {
		return p
	}
	allowed, known := s.gitAccess(p, name, password)
	switch {
	case !known:
		if given {
			s.noteGit(name, password)
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="GitLab"`)
		http.Error(w, "HTTP Basic: Access denied. The provided password or token is incorrect or your account has 2FA enabled and you must use a personal access token instead of a password.", http.StatusUnauthorized)
		return nil
	case p == nil || !allowed:
		s.note(Git, 0, "project %q not found or not readable", repo)
		http.Error(w, "The project you were looking for could not be found or you don't have permission to view it.", http.StatusNotFound)
		return nil
	}
	return p
}

func (s *Server) noteGit(name, password string) {
	if j := s.finishedJob(password); j != nil {
		s.noteDeadToken(Git, j)
		return
	}
	s.note(Git, 0, "wrong git credentials for user %q", name)
}

// gitAccess tells whether the credentials are valid and whether they open the
// project.
func (s *Server) gitAccess(p *project, name, password string) (allowed, known bool) {
	if name == "gitlab-ci-token" {
		j := s.runningJob(password)
		return j != nil && p != nil && s.jobMayRead(j, p), j != nil
	}
	if d := s.st.deploy[password]; d != nil && d.username == name {
		return d.project == p, true
	}
	if t := s.st.tokens[password]; t != nil {
		scoped := slices.ContainsFunc(t.scopes, func(sc string) bool { return sc == "api" || sc == "read_repository" || sc == "write_repository" })
		return p != nil && scoped && t.reads(s, p), true
	}
	return false, false
}

func (s *Server) gitEnv(r *http.Request) []string {
	if v := r.Header.Get("Git-Protocol"); v != "" {
		return []string{"GIT_PROTOCOL=" + v}
	}
	return nil
}

func noCache(w http.ResponseWriter, contentType string) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-cache, max-age=0, must-revalidate")
}

// advertise is GET info/refs: protocol 2 answers without the service line.
func (s *Server) advertise(w http.ResponseWriter, r *http.Request, p *project) {
	noCache(w, "application/x-git-upload-pack-advertisement")
	if !strings.Contains(r.Header.Get("Git-Protocol"), "version=2") {
		line := "# service=git-upload-pack\n"
		_, _ = fmt.Fprintf(w, "%04x%s0000", len(line)+4, line)
	}
	cmd := s.git.command(r.Context(), p.id, s.gitEnv(r), "upload-pack", "--stateless-rpc", "--advertise-refs", s.git.repo(p.id))
	cmd.Stdout = w
	if err := cmd.Run(); err != nil {
		s.opts.Log.Error("git advertise", "error", err)
	}
}

// uploadPack is POST git-upload-pack.
func (s *Server) uploadPack(w http.ResponseWriter, r *http.Request, p *project) {
	var body io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		zr, err := gzip.NewReader(r.Body)
		if err != nil {
			http.Error(w, "bad gzip body", http.StatusBadRequest)
			return
		}
		body = zr
	}
	request, err := io.ReadAll(io.LimitReader(body, maxGitRequest))
	if err != nil {
		http.Error(w, "body unreadable", http.StatusBadRequest)
		return
	}
	noCache(w, "application/x-git-upload-pack-result")
	cmd := s.git.command(r.Context(), p.id, s.gitEnv(r), "upload-pack", "--stateless-rpc", s.git.repo(p.id))
	cmd.Stdin, cmd.Stdout = bytes.NewReader(request), w
	if err := cmd.Run(); err != nil {
		s.opts.Log.Error("git upload-pack", "error", err)
	}
}
