package gitlabsim

import (
	"slices"
	"strings"
)

// item is one entry of the payload's variable list.
type item struct {
	key, value                string
	public, masked, file, raw bool
}

func predefined(key, value string) item { return item{key: key, value: value, public: true} }
func hidden(key, value string) item     { return item{key: key, value: value} }

// jobVariables builds the list in GitLab's order of precedence, the last
// occurrence winning, duplicates kept (6.1); the mutex is held.
func (s *Server) jobVariables(j *job) ([]item, error) {
	out := s.persistedVariables(j)
	tokens, err := s.idTokens(j)
	if err != nil {
		return nil, err
	}
	out = append(out, tokens...)
	out = append(out, s.jobPredefined(j)...)
	out = append(out, s.projectPredefined(j)...)
	out = append(out, s.serverPredefined()...)
	out = append(out, s.pipelinePredefined(j)...)
	out = append(out, s.runnerPredefined(j)...)
	if kc, ok := s.kubeconfig(j); ok {
		out = append(out, item{key: "KUBECONFIG", value: kc, file: true})
	}
	for _, v := range j.spec.Variables {
		out = append(out, item{key: v.Key, value: v.Value, public: true, raw: v.Raw})
	}
	out = append(out,
		predefined("GITLAB_USER_ID", itoa(j.user.ID)), predefined("GITLAB_USER_EMAIL", j.user.Email),
		predefined("GITLAB_USER_LOGIN", j.user.Username), predefined("GITLAB_USER_NAME", j.user.Name))
	for _, d := range s.dependenciesOf(j) {
		out = append(out, settings(d.dotenv)...)
	}
	out = append(out, s.scopedVariables(j)...)
	out = append(out, settings(j.pipeline.vars)...)
	out = append(out, settings(j.vars)...)
	if j.env != nil {
		out = append(out, predefined("CI_ENVIRONMENT_SLUG", j.env.Slug))
		if url := j.spec.Environment.URL; url != "" {
			out = append(out, predefined("CI_ENVIRONMENT_URL", url))
		}
	}
	return out, nil
}

func settings(vars []Variable) []item {
	var out []item
	for _, v := range vars {
		out = append(out, item{key: v.Key, value: v.Value, masked: v.Masked, raw: v.Raw, file: v.File})
	}
	return out
}

// scopedVariables are instance, groups from the outermost inwards, project;
// protected ones only on a protected ref.
func (s *Server) scopedVariables(j *job) []item {
	p := j.pipeline.project
	scopes := []string{"instance"}
	var groups []string
	for g := p.group; g != nil; g = g.parent {
		groups = append([]string{"group:" + strings.ToLower(g.path)}, groups...)
	}
	scopes = append(append(scopes, groups...), "project:"+strings.ToLower(p.path))
	protected := s.protectedRef(j.pipeline)
	environment := ""
	if j.env != nil {
		environment = j.env.Name
	}
	var out []item
	for _, scope := range scopes {
		var given []Variable
		for _, v := range s.st.vars[scope] {
			if _, ok := v.relevance(environment); ok && (!v.Protected || protected) {
				given = append(given, v)
			}
		}
		slices.SortStableFunc(given, func(a, b Variable) int {
			before, _ := a.relevance(environment)
			after, _ := b.relevance(environment)
			return before - after
		})
		out = append(out, settings(given)...)
	}
	return out
}

// runnerVariables is the wire form: file and raw only when true.
func runnerVariables(list []item) []obj {
	out := []obj{}
	for _, v := range list {
		e := obj{"key": v.key, "value": v.value, "public": v.public, "masked": v.masked}
		if v.file {
			e["file"] = true
		}
		if v.raw {
			e["raw"] = true
		}
		out = append(out, e)
	}
	return out
}

// last answers the value that wins for a key.
func last(list []item, key string) string {
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].key == key {
			return list[i].value
		}
	}
	return ""
}
