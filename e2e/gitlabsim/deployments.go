package gitlabsim

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
)

// Deployments is the API of deployment records (GitLab's documentation of the
// Deployments API: create a deployment, update a deployment).
const Deployments Endpoint = "deployments"

// Deployment is a record that somebody outside of CI has made.
type Deployment struct {
	ID          int64  `json:"id"`
	IID         int64  `json:"iid"`
	Environment string `json:"-"`
	Ref         string `json:"ref"`
	Tag         bool   `json:"tag"`
	SHA         string `json:"sha"`
	Status      string `json:"status"`
	// States are all that the record has had, the newest last.
	States []string `json:"-"`
}

// deploymentStates are those that a client may set.
var deploymentStates = []string{"running", "success", "failed", "canceled"}

func (d *Deployment) entity(e *environment) obj {
	return obj{
		"id": d.ID, "iid": d.IID, "ref": d.Ref, "sha": d.SHA, "tag": d.Tag, "status": d.Status, "deployable": nil,
		"environment": obj{"id": e.ID, "name": e.Name, "slug": e.Slug},
	}
}

// deployer is the project of somebody who may write deployments there; nil when
// it has been answered.
func (s *Server) deployer(w http.ResponseWriter, r *http.Request, in any) *project {
	c := s.authAPI(w, r, Deployments)
	if c == nil {
		return nil
	}
	p := s.findProject(r.PathValue("project"))
	if !s.mayReadProject(w, Deployments, c, p, "api") {
		return nil
	}
	if c.job != nil || s.callerLevel(c, p) < Developer {
		s.note(Deployments, 0, "deployments are written by a token of a developer")
		writeJSON(w, http.StatusForbidden, obj{"message": "403 Forbidden"})
		return nil
	}
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxAdminBody))
	dec.DisallowUnknownFields()
	if err := dec.Decode(in); err != nil {
		s.note(Deployments, 0, "body: %v", err)
		refuse(w, http.StatusBadRequest, "body")
		return nil
	}
	return p
}

// createDeployment is POST projects/:id/deployments.
func (s *Server) createDeployment(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var in struct {
		Environment string `json:"environment"`
		SHA         string `json:"sha"`
		Ref         string `json:"ref"`
		Tag         *bool  `json:"tag"`
		Status      string `json:"status"`
	}
	p := s.deployer(w, r, &in)
	if p == nil {
		return
	}
	bad := func(what string) {
		s.note(Deployments, 0, "%s", what)
		writeJSON(w, http.StatusBadRequest, obj{"error": what})
	}
	sha, err := s.git.commit(r.Context(), p.id, in.SHA)
	switch {
	case in.Environment == "" || in.Ref == "" || in.Tag == nil:
		bad("environment, ref or tag is missing")
		return
	case !slices.Contains(deploymentStates, in.Status):
		bad("status does not have a valid value")
		return
	case err != nil || sha != in.SHA:
		bad("The commit does not exist")
		return
	}
	if at, err := s.git.commit(r.Context(), p.id, in.Ref); err != nil || *in.Tag != s.git.hasRef(r.Context(), p.id, "refs/tags/"+in.Ref) {
		bad(fmt.Sprintf("ref %q is at %.8s, tag is %t: no such ref", in.Ref, at, *in.Tag))
		return
	}
	e := s.environmentFor(p, in.Environment, "")
	for _, d := range s.st.deployments[p.id] {
		if d.Environment == e.Name && d.SHA == sha && slices.Contains(d.States, in.Status) {
			s.note(Deployments, 0, "%.8s is in %s as %s already", sha, e.Name, in.Status)
		}
	}
	d := &Deployment{
		ID: s.st.next("deployment"), IID: int64(len(s.st.deployments[p.id]) + 1), Environment: e.Name, Ref: in.Ref, Tag: *in.Tag, SHA: sha,
		Status: in.Status, States: []string{in.Status},
	}
	s.st.deployments[p.id] = append(s.st.deployments[p.id], d)
	s.touch()
	writeJSON(w, http.StatusCreated, d.entity(e))
}

// updateDeployment is PUT projects/:id/deployments/:deployment_id. What a state
// cannot become is refused as GitLab's state machine does.
func (s *Server) updateDeployment(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var in struct {
		Status string `json:"status"`
	}
	p := s.deployer(w, r, &in)
	if p == nil {
		return
	}
	i := slices.IndexFunc(s.st.deployments[p.id], func(d *Deployment) bool { return itoa(d.ID) == r.PathValue("deployment") })
	if i < 0 {
		s.note(Deployments, 0, "no deployment %s", r.PathValue("deployment"))
		writeJSON(w, http.StatusNotFound, obj{"message": "404 Deployment Not Found"})
		return
	}
	d := s.st.deployments[p.id][i]
	if !slices.Contains(deploymentStates, in.Status) || in.Status == d.Status || in.Status == "running" {
		s.note(Deployments, 0, "deployment %d is %s and cannot become %q", d.ID, d.Status, in.Status)
		writeJSON(w, http.StatusBadRequest, obj{"message": obj{"status": []string{"cannot transition from " + d.Status}}})
		return
	}
	d.Status = in.Status
	d.States = append(d.States, in.Status)
	s.touch()
	writeJSON(w, http.StatusOK, d.entity(s.environmentFor(p, d.Environment, "")))
}

// Deployments are the records of a project, oldest first.
func (s *Server) Deployments(projectID string) ([]Deployment, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.deploymentsOf(projectID)
}

func (s *Server) deploymentsOf(projectID string) ([]Deployment, error) {
	p := s.findProject(projectID)
	if p == nil {
		return nil, fmt.Errorf("project %q not found", projectID)
	}
	var out []Deployment
	for _, d := range s.st.deployments[p.id] {
		one := *d
		one.States = slices.Clone(d.States)
		out = append(out, one)
	}
	return out, nil
}

// WaitDeployment waits until the newest record of a commit has the status.
func (s *Server) WaitDeployment(ctx context.Context, projectID, sha, status string) (out Deployment, err error) {
	err = s.waitFor(ctx, func() (bool, error) {
		all, err := s.deploymentsOf(projectID)
		for _, d := range all {
			if d.SHA == sha {
				out = d
			}
		}
		return out.Status == status, err
	})
	if err != nil {
		err = fmt.Errorf("deployment of %.8s is %q: %w", sha, out.Status, err)
	}
	return out, err
}
