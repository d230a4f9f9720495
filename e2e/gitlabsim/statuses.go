package gitlabsim

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
)

// Statuses is the API of commit statuses (GitLab's documentation of the Commits
// API: set the pipeline status of a commit).
const Statuses Endpoint = "statuses"

// CommitStatus is one external status of a commit.
type CommitStatus struct {
	ID          int64  `json:"id"`
	SHA         string `json:"sha"`
	Ref         string `json:"ref"`
	Name        string `json:"name"`
	Status      string `json:"status"`
	TargetURL   string `json:"target_url"`
	Description string `json:"description"`
}

var statusStates = []string{"pending", "running", "success", "failed", "canceled", "skipped"}

// statusBecomes is what an open status can become, by GitLab's state machine of
// commit statuses. One that has ended is followed by a new one.
var statusBecomes = map[string][]string{
	"pending": {"running", "success", "failed", "canceled", "skipped"},
	"running": {"success", "failed", "canceled"},
}

// maxStatusText is GitLab's limit on the description and on the address of a
// status, each in characters.
const maxStatusText = 255

// setStatus is POST projects/:id/statuses/:sha. An open status of the same name
// goes on; what a state cannot become is refused as GitLab's state machine does.
func (s *Server) setStatus(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.authAPI(w, r, Statuses)
	if c == nil {
		return
	}
	p := s.findProject(r.PathValue("project"))
	if !s.mayReadProject(w, Statuses, c, p, "api") {
		return
	}
	var in struct {
		State       string  `json:"state"`
		Name        string  `json:"name"`
		Context     string  `json:"context"`
		Ref         string  `json:"ref"`
		TargetURL   *string `json:"target_url"`
		Description string  `json:"description"`
	}
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxAdminBody))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil {
		s.note(Statuses, 0, "body: %v", err)
		refuse(w, http.StatusBadRequest, "body")
		return
	}
	sha, err := s.git.commit(r.Context(), p.id, r.PathValue("sha"))
	switch {
	case err != nil || sha != r.PathValue("sha"):
		writeJSON(w, http.StatusNotFound, obj{"message": "404 Commit Not Found"})
		return
	case !slices.Contains(statusStates, in.State):
		s.note(Statuses, 0, "state %q", in.State)
		writeJSON(w, http.StatusBadRequest, obj{"error": "state does not have a valid value"})
		return
	}
	if faults := textFaults(in.Description, in.TargetURL); len(faults) > 0 {
		s.note(Statuses, 0, "status: %v", faults)
		writeJSON(w, http.StatusBadRequest, obj{"message": faults})
		return
	}
	name := orDefault(orDefault(in.Name, in.Context), "default")
	st := s.openStatus(p, sha, name)
	if st != nil && !slices.Contains(statusBecomes[st.Status], in.State) {
		s.note(Statuses, 0, "status %s is %s and cannot become %s", name, st.Status, in.State)
		writeJSON(w, http.StatusBadRequest, obj{"message": "Cannot transition status via :" + in.State + " from :" + st.Status})
		return
	}
	if st == nil {
		s.st.lastStatus++
		st = &CommitStatus{ID: s.st.lastStatus, SHA: sha, Ref: in.Ref, Name: name}
		s.st.statuses[p.id] = append(s.st.statuses[p.id], st)
	}
	st.Status, st.Description = in.State, in.Description
	if in.TargetURL != nil {
		st.TargetURL = *in.TargetURL
	}
	s.touch()
	writeJSON(w, http.StatusCreated, st)
}

const tooLong = "is too long (maximum is 255 characters)"

// textFaults is what GitLab has against the words of a status.
func textFaults(description string, address *string) obj {
	faults := obj{}
	if len([]rune(description)) > maxStatusText {
		faults["description"] = []string{tooLong}
	}
	if address == nil {
		return faults
	}
	if f := addressFaults(*address); len(f) > 0 {
		faults["target_url"] = f
	}
	return faults
}

// addressFaults is what GitLab has against the address of a status: it may be
// absent, but not empty.
func addressFaults(address string) []string {
	var faults []string
	switch u, err := url.Parse(address); {
	case err != nil:
		faults = append(faults, "must be a valid URL")
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		faults = append(faults, "is blocked: Only allowed schemes are http, https")
	}
	if len([]rune(address)) > maxStatusText {
		faults = append(faults, tooLong)
	}
	return faults
}

func (s *Server) openStatus(p *project, sha, name string) *CommitStatus {
	for _, st := range s.st.statuses[p.id] {
		if st.SHA == sha && st.Name == name && (st.Status == "pending" || st.Status == "running") {
			return st
		}
	}
	return nil
}

// CommitStatuses are the statuses of a commit, oldest first.
func (s *Server) CommitStatuses(projectID, sha string) ([]CommitStatus, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.commitStatuses(projectID, sha)
}

func (s *Server) commitStatuses(projectID, sha string) ([]CommitStatus, error) {
	p := s.findProject(projectID)
	if p == nil {
		return nil, fmt.Errorf("project %q not found", projectID)
	}
	var out []CommitStatus
	for _, st := range s.st.statuses[p.id] {
		if st.SHA == sha {
			out = append(out, *st)
		}
	}
	return out, nil
}

// WaitCommitStatus waits until the newest status of a name on a commit has one
// of the states.
func (s *Server) WaitCommitStatus(ctx context.Context, projectID, sha, name string, states ...string) (out CommitStatus, err error) {
	err = s.waitFor(ctx, func() (bool, error) {
		all, err := s.commitStatuses(projectID, sha)
		for _, st := range all {
			if st.Name == name {
				out = st
			}
		}
		return slices.Contains(states, out.Status), err
	})
	if err != nil {
		err = fmt.Errorf("status %s of %.8s is %q (%s): %w", name, sha, out.Status, out.Description, err)
	}
	return out, err
}
