package gitlabsim

import (
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Access levels of members.
const (
	Guest      = 10
	Reporter   = 20
	Developer  = 30
	Maintainer = 40
	Owner      = 50
)

var roleNames = []struct {
	level int
	name  string
}{{Guest, "guest"}, {Reporter, "reporter"}, {Developer, "developer"}, {Maintainer, "maintainer"}, {Owner, "owner"}}

func roleName(level int) string {
	name := ""
	for _, r := range roleNames {
		if level >= r.level {
			name = r.name
		}
	}
	return name
}

// rolesUpTo lists all roles at or below the level, as allowed_agents does.
func rolesUpTo(level int) []string {
	out := []string{}
	for _, r := range roleNames {
		if level >= r.level {
			out = append(out, r.name)
		}
	}
	return out
}

// accessLevel is the user's highest level in the project, inherited from its
// groups; administrators are owners everywhere.
func (s *Server) accessLevel(u *user, p *project) int {
	level := p.members[u.Username]
	for g := p.group; g != nil; g = g.parent {
		level = max(level, g.members[u.Username])
	}
	if u.admin {
		level = Owner
	}
	return level
}

func (s *Server) mayRead(u *user, p *project) bool {
	return p.visibility == "public" || p.visibility == "internal" && !u.bot || s.accessLevel(u, p) >= Reporter
}

// jobMayRead applies the target's job token allowlist and the user's
// membership (agent-config 2.6).
func (s *Server) jobMayRead(j *job, p *project) bool {
	own := j.pipeline.project
	if own == p {
		return true
	}
	return slices.Contains(p.jobTokenFrom, strings.ToLower(own.path)) && s.mayRead(j.user, p)
}

// protectedRef: branches by the project's list, tags never unless listed as
// tag:<pattern>.
func (s *Server) protectedRef(pl *pipeline) bool { return pl.project.protects(pl.ref, pl.tag) }

// protects says whether a branch or a tag is protected.
func (p *project) protects(ref string, tag bool) bool {
	for _, pattern := range p.protected {
		tagPattern, isTag := strings.CutPrefix(pattern, "tag:")
		if isTag != tag {
			continue
		}
		if ok, err := path.Match(strings.ReplaceAll(tagPattern, "/", "\x00"), strings.ReplaceAll(ref, "/", "\x00")); err == nil && ok {
			return true
		}
	}
	return false
}

func (p *project) name() string { return path.Base(p.path) }

func (g *group) root() *group {
	for g.parent != nil {
		g = g.parent
	}
	return g
}

// findProject reads the :id of a path: a number or a full path.
func (s *Server) findProject(id string) *project {
	if n, err := strconv.ParseInt(id, 10, 64); err == nil {
		return s.st.projects[n]
	}
	return s.st.byPath[strings.ToLower(id)]
}

// jobToken reads either spelling of the job token header.
func jobToken(r *http.Request) string {
	return r.Header.Get("Job-Token") // canonical form of JOB-TOKEN too
}

// runningJob finds the job of a token while it is running or canceling.
func (s *Server) runningJob(token string) *job {
	if token == "" {
		return nil
	}
	for _, j := range s.st.queue {
		if j.status.executing() && !j.expired && equal(j.token, token) {
			return j
		}
	}
	return nil
}

// finishedJob tells whether the token belonged to a job that is over.
func (s *Server) finishedJob(token string) *job {
	for _, j := range s.st.queue {
		if token != "" && j.token == token && (!j.status.executing() || j.expired) {
			return j
		}
	}
	return nil
}

// caller is who asks the API: a running job or the holder of an access token.
type caller struct {
	job   *job
	token *accessToken
}

// authAPI reads JOB-TOKEN or PRIVATE-TOKEN. nil means the 401 is written.
func (s *Server) authAPI(w http.ResponseWriter, r *http.Request, ep Endpoint) *caller {
	if t := jobToken(r); t != "" {
		if j := s.runningJob(t); j != nil {
			return &caller{job: j}
		}
		if j := s.finishedJob(t); j != nil {
			s.noteDeadToken(ep, j)
		} else {
			s.note(ep, 0, "unknown job token")
		}
		refuse(w, http.StatusUnauthorized, "")
		return nil
	}
	token := r.Header.Get("PRIVATE-TOKEN")
	if token == "" {
		token, _ = strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	}
	if t := s.st.tokens[token]; t != nil {
		return &caller{token: t}
	}
	s.note(ep, 0, "no valid token")
	refuse(w, http.StatusUnauthorized, "")
	return nil
}

// noteDeadToken blames a client only when it knew that the job is over.
func (s *Server) noteDeadToken(ep Endpoint, j *job) {
	if j.strict.ownFinal || j.strict.told {
		s.note(ep, j.id, "token of a finished job used")
	}
}

// mayReadProject answers 404 or 403 itself when the caller may not.
func (s *Server) mayReadProject(w http.ResponseWriter, ep Endpoint, c *caller, p *project, scopes ...string) bool {
	switch {
	case p != nil && c.job != nil && s.jobMayRead(c.job, p):
		return true
	case p != nil && c.token != nil && c.token.reads(s, p):
		if slices.ContainsFunc(scopes, func(sc string) bool { return slices.Contains(c.token.scopes, sc) }) {
			return true
		}
		s.note(ep, 0, "token without one of the scopes %v", scopes)
		writeJSON(w, http.StatusForbidden, obj{"error": "insufficient_scope", "error_description": "The request requires higher privileges than provided by the access token."})
		return false
	}
	s.note(ep, 0, "project not found or not readable")
	writeJSON(w, http.StatusNotFound, obj{"message": "404 Project Not Found"})
	return false
}

func (t *accessToken) reads(s *Server, p *project) bool {
	if t.project != nil {
		return t.project == p || p.visibility == "public"
	}
	return s.mayRead(t.user, p)
}

func hostOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return raw
	}
	return u.Host
}
