package gitlabsim

import (
	"net/http"
	"strings"
)

// getMergeBase is GET projects/:id/repository/merge_base?refs[]=a&refs[]=b
// (GitLab's documentation of the Repositories API).
func (s *Server) getMergeBase(w http.ResponseWriter, r *http.Request) {
	s.checkQuery(Repository, 0, r, "refs[]")
	p := s.repositoryCaller(w, r)
	if p == nil {
		return
	}
	const least = 2
	refs := r.URL.Query()["refs[]"]
	if len(refs) < least {
		s.anomaly(Repository, 0, "merge base of %d refs", len(refs))
		writeJSON(w, http.StatusBadRequest, obj{"message": "Provide at least 2 refs"})
		return
	}
	args := []string{"merge-base", "--octopus"}
	for _, ref := range refs {
		sha, err := s.git.commit(r.Context(), p.id, ref)
		if err != nil {
			writeJSON(w, http.StatusBadRequest, obj{"message": "Could not find ref: " + ref})
			return
		}
		args = append(args, sha)
	}
	out, err := s.git.run(r.Context(), p.id, nil, nil, args...)
	if err != nil {
		writeJSON(w, http.StatusNotFound, obj{"message": "404 Merge Base Not Found"})
		return
	}
	writeJSON(w, http.StatusOK, obj{"id": strings.TrimSpace(out)})
}
