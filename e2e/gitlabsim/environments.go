package gitlabsim

import (
	"fmt"
	"math/big"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var environmentStates = []string{"available", "stopping", "stopped"}

// listEnvironments is GET projects/:id/environments (agent-config 2.6).
func (s *Server) listEnvironments(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, p := s.environmentCaller(w, r)
	if c == nil {
		return
	}
	q := r.URL.Query()
	s.checkQuery(EnvironmentsAPI, 0, r, "name", "search", "states", "page", "per_page")
	name, search, state := q.Get("name"), q.Get("search"), q.Get("states")
	switch {
	case name != "" && search != "":
		invalid(w, "name, search are mutually exclusive")
		return
	case search != "" && len(search) < 3:
		refuse(w, http.StatusBadRequest, "Search query is less than 3 characters")
		return
	case state != "" && !slices.Contains(environmentStates, state):
		refuse(w, http.StatusBadRequest, "Requested states are invalid")
		return
	}
	out := []obj{}
	for _, e := range p.envs {
		if name != "" && e.Name != name || state != "" && e.State != state || !strings.Contains(e.Name, search) {
			continue
		}
		out = append(out, s.environmentEntity(c, p, e))
	}
	total := len(out)
	out = page(w, q.Get("page"), q.Get("per_page"), out)
	w.Header().Set("X-Total", strconv.Itoa(total))
	writeJSON(w, http.StatusOK, out)
}

// page cuts the requested page out of a list and sets GitLab's headers.
func page(w http.ResponseWriter, number, size string, list []obj) []obj {
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 {
		n = 1
	}
	per, err := strconv.Atoi(size)
	if err != nil || per < 1 {
		per = 20
	}
	per = min(per, 100)
	from := min((n-1)*per, len(list))
	to := min(from+per, len(list))
	next := ""
	if to < len(list) {
		next = strconv.Itoa(n + 1)
	}
	w.Header().Set("X-Page", strconv.Itoa(n))
	w.Header().Set("X-Per-Page", strconv.Itoa(per))
	w.Header().Set("X-Next-Page", next)
	return list[from:to]
}

// getEnvironment is GET projects/:id/environments/:environment_id.
func (s *Server) getEnvironment(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, p := s.environmentCaller(w, r)
	if c == nil {
		return
	}
	for _, e := range p.envs {
		if itoa(e.ID) == r.PathValue("environment") {
			answer := s.environmentEntity(c, p, e)
			answer["last_deployment"] = deploymentEntity(e)
			writeJSON(w, http.StatusOK, answer)
			return
		}
	}
	writeJSON(w, http.StatusNotFound, obj{"message": "404 Environment Not Found"})
}

func (s *Server) environmentCaller(w http.ResponseWriter, r *http.Request) (*caller, *project) {
	c := s.authAPI(w, r, EnvironmentsAPI)
	if c == nil {
		return nil, nil
	}
	p := s.findProject(r.PathValue("project"))
	if !s.mayReadProject(w, EnvironmentsAPI, c, p, "api", "read_api") {
		return nil, nil
	}
	return c, p
}

// environmentEntity shows the agent's fields only when there is an agent and
// the caller is at least a developer.
func (s *Server) environmentEntity(c *caller, p *project, e *environment) obj {
	out := obj{
		"id": e.ID, "name": e.Name, "slug": e.Slug, "external_url": nil, "created_at": stamp(e.createdAt), "updated_at": stamp(e.updatedAt),
		"tier": e.Tier, "project": identity(p), "state": e.State, "auto_stop_at": nil, "description": nil, "auto_stop_setting": "always",
	}
	if e.URL != "" {
		out["external_url"] = e.URL
	}
	if e.agent != nil && s.callerLevel(c, p) >= Developer {
		out["cluster_agent"] = obj{
			"id": e.agent.id, "name": e.agent.name, "config_project": identity(e.agent.project),
			"created_at": stamp(e.agent.created), "created_by_user_id": 1,
		}
		out["kubernetes_namespace"], out["flux_resource_path"] = nil, nil
		if e.Namespace != "" {
			out["kubernetes_namespace"] = e.Namespace
		}
	}
	return out
}

func (s *Server) callerLevel(c *caller, p *project) int {
	switch {
	case c.job != nil:
		return s.accessLevel(c.job.user, p)
	case c.token.project == p:
		return c.token.level
	default:
		return s.accessLevel(c.token.user, p)
	}
}

func deploymentEntity(e *environment) any {
	j := e.lastDeployment
	if j == nil {
		return nil
	}
	return obj{
		"id": j.id, "iid": 1, "ref": j.pipeline.ref, "sha": j.pipeline.sha, "status": "success",
		"deployable": obj{"id": j.id, "name": j.spec.Name, "status": j.status, "ref": j.pipeline.ref},
	}
}

// environmentFor finds or makes the environment of a new job.
func (s *Server) environmentFor(p *project, name, tier string) *environment {
	for _, e := range p.envs {
		if e.Name == name {
			if tier != "" {
				e.Tier = tier
			}
			return e
		}
	}
	e := &environment{createdAt: s.now(), updatedAt: s.now(), Environment: Environment{
		ID: s.st.next("environment"), Name: name, Slug: environmentSlug(name), Tier: orDefault(tier, guessTier(name)), State: "available",
	}}
	p.envs = append(p.envs, e)
	return e
}

var (
	dashes  = regexp.MustCompile(`-+`)
	guesses = []struct {
		re   *regexp.Regexp
		tier string
	}{
		{regexp.MustCompile(`(?i)(dev|review|trunk)`), "development"},
		{regexp.MustCompile(`(?i)(test|tst|int|ac(ce|)pt|qa|qc|control|quality)`), "testing"},
		{regexp.MustCompile(`(?i)(st(a|)g|mod(e|)l|pre|demo|non)`), "staging"},
		{regexp.MustCompile(`(?i)(pr(o|)d|live)`), "production"},
	}
)

func guessTier(name string) string {
	for _, g := range guesses {
		if g.re.MatchString(name) {
			return g.tier
		}
	}
	return "other"
}

// environmentSlug is GitLab's: at most 24 characters, starting with a letter,
// with a hash suffix whenever the name had to be changed.
func environmentSlug(name string) string {
	out := notSlug.ReplaceAllString(strings.ToLower(name), "-")
	if out == "" || out[0] < 'a' || out[0] > 'z' {
		out = "env-" + out
	}
	out = dashes.ReplaceAllString(out, "-")
	if len(out) <= 24 && out == name {
		return out
	}
	if len(out) > 17 {
		out = out[:17]
	}
	if !strings.HasSuffix(out, "-") {
		out += "-"
	}
	n, _ := new(big.Int).SetString(shaHex([]byte(name)), 16)
	suffix := n.Text(36)
	return fmt.Sprintf("%s%s", out, suffix[len(suffix)-6:])
}
