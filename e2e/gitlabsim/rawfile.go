package gitlabsim

import (
	"encoding/base64"
	"net/http"
	"path"
	"strconv"
)

// rawFile is GET projects/:id/repository/files/:path/raw with ETag and
// If-None-Match (agent-config 2.6).
func (s *Server) rawFile(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.checkQuery(RawFile, 0, r, "ref", "lfs")
	c := s.authAPI(w, r, RawFile)
	if c == nil {
		s.mu.Unlock()
		return
	}
	p := s.findProject(r.PathValue("project"))
	ok := s.mayReadProject(w, RawFile, c, p, "api", "read_api", "read_repository")
	ref := ""
	if ok {
		if ref = r.URL.Query().Get("ref"); ref == "" || ref == "HEAD" {
			ref = p.defaultBranch
		}
	}
	s.mu.Unlock()
	if !ok {
		return
	}
	commit, err := s.git.commit(r.Context(), p.id, ref)
	if err != nil {
		writeJSON(w, http.StatusNotFound, obj{"message": "404 Commit Not Found"})
		return
	}
	file := r.PathValue("path")
	blob, content, err := s.git.file(r.Context(), p.id, commit, file)
	if err != nil {
		writeJSON(w, http.StatusNotFound, obj{"message": "404 File Not Found"})
		return
	}
	h := w.Header()
	h.Set("X-Gitlab-Blob-Id", blob)
	h.Set("X-Gitlab-Commit-Id", commit)
	h.Set("X-Gitlab-Content-Sha256", shaHex(content))
	h.Set("X-Gitlab-Encoding", "base64")
	h.Set("X-Gitlab-File-Name", path.Base(file))
	h.Set("X-Gitlab-File-Path", file)
	h.Set("X-Gitlab-Ref", orDefault(r.URL.Query().Get("ref"), ref))
	h.Set("X-Gitlab-Size", strconv.Itoa(len(content)))
	etag := `W/"` + base64.RawURLEncoding.EncodeToString([]byte(shaHex(content)[:24])) + `"`
	h.Set("ETag", etag)
	h.Set("Cache-Control", "max-age=0, private, must-revalidate, no-store, no-cache")
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write(content)
}
