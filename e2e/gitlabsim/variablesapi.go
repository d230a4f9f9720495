package gitlabsim

import (
	"net/http"
	"regexp"
	"strings"
)

// VariablesAPI is the API of a project's CI/CD variables (GitLab's documentation
// of the Project-level CI/CD Variables API: list project variables).
const VariablesAPI Endpoint = "variables"

// listVariables is GET projects/:id/variables. Only maintainers read them.
func (s *Server) listVariables(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.checkQuery(VariablesAPI, 0, r, "page", "per_page")
	if jobToken(r) != "" {
		s.note(VariablesAPI, 0, "job tokens read no variables")
		refuse(w, http.StatusUnauthorized, "")
		return
	}
	c := s.authAPI(w, r, VariablesAPI)
	if c == nil {
		return
	}
	p := s.findProject(r.PathValue("project"))
	if !s.mayReadProject(w, VariablesAPI, c, p, "api", "read_api") {
		return
	}
	if s.callerLevel(c, p) < Maintainer {
		s.note(VariablesAPI, 0, "variables are read by maintainers")
		writeJSON(w, http.StatusForbidden, obj{"message": "403 Forbidden"})
		return
	}
	list := []obj{}
	for _, v := range s.st.vars["project:"+strings.ToLower(p.path)] {
		e := obj{
			"variable_type": "env_var", "key": v.Key, "value": v.Value, "hidden": v.Hidden, "protected": v.Protected, "masked": v.Masked || v.Hidden,
			"raw": v.Raw, "environment_scope": v.scope(), "description": nil,
		}
		if v.File {
			e["variable_type"] = "file"
		}
		if v.Hidden {
			e["value"] = nil
		}
		list = append(list, e)
	}
	q := r.URL.Query()
	writeJSON(w, http.StatusOK, page(w, q.Get("page"), q.Get("per_page"), list))
}

// scope is what environments the variable is for; all without a word.
func (v *Variable) scope() string { return orDefault(v.Scope, "*") }

// relevance says whether a variable is for jobs of an environment, "" being none,
// and orders those that are, as GitLab's on_environment does: a name before what
// has a wildcard in it, and that before all.
func (v *Variable) relevance(environment string) (rank int, ok bool) {
	const all, some, exact = 0, 1, 2
	switch scope := v.scope(); {
	case scope == "*":
		return all, true
	case environment == "":
		return 0, false
	case scope == environment:
		return exact, true
	default:
		pattern := strings.ReplaceAll(regexp.QuoteMeta(scope), `\*`, `.*`)
		return some, regexp.MustCompile(`\A(?s:` + pattern + `)\z`).MatchString(environment)
	}
}

// getRef is GET projects/:id/repository/branches/:branch and
// projects/:id/repository/tags/:tag, as far as somebody asks whether the ref is
// protected.
func (s *Server) getRef(tag bool) http.HandlerFunc {
	kind, missing := "refs/heads/", "404 Branch Not Found"
	if tag {
		kind, missing = "refs/tags/", "404 Tag Not Found"
	}
	return func(w http.ResponseWriter, r *http.Request) {
		s.checkQuery(Repository, 0, r)
		p := s.repositoryCaller(w, r)
		if p == nil {
			return
		}
		name := r.PathValue("ref")
		sha, err := s.git.commit(r.Context(), p.id, kind+name)
		if err != nil {
			writeJSON(w, http.StatusNotFound, obj{"message": missing})
			return
		}
		s.mu.Lock()
		protected := p.protects(name, tag)
		s.mu.Unlock()
		out := obj{"name": name, "commit": obj{"id": sha}, "protected": protected}
		if !tag {
			out["default"], out["merged"] = name == p.defaultBranch, false
		}
		writeJSON(w, http.StatusOK, out)
	}
}
