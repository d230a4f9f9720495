package sources

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

// Limits of the values of variables, in bytes.
const (
	// MaxVariableBytes bounds one value; GitLab takes 10,000 characters.
	MaxVariableBytes = 10_000
	// MaxVariablesBytes bounds all values of an entry together.
	MaxVariablesBytes = 64 << 10
)

// Variables are the values that an entry's CI/CD variables have, chosen as GitLab
// chooses for a job: protected ones for a protected ref only, and of several
// scopes the one that names the environment most closely. protected is asked once
// at most, if it matters. wrong is what a person has to repair, without any value
// in it.
func Variables(m agentconfig.Manifests, all []gitlab.Variable, protected func() (bool, error)) (values map[string]string, wrong, err error) {
	c := choice{of: *m.SubstituteGitLab, project: m.Project, ref: m.Ref.String()}
	matters := func(v gitlab.Variable) bool {
		return v.Protected && slices.Contains(c.of.Names, v.Key) && rank(v.Scope, c.of.Environment) > 0
	}
	if slices.ContainsFunc(all, matters) {
		if c.protected, err = protected(); err != nil {
			return nil, nil, err
		}
	}
	values, total := map[string]string{}, 0
	for _, name := range c.of.Names {
		v, wrong := c.choose(name, all)
		if wrong != nil {
			return nil, wrong, nil
		}
		if total += len(v); total > MaxVariablesBytes {
			return nil, fmt.Errorf("substitute.gitlab: the variables of project %s have more than %d bytes together; name fewer of them", c.project, MaxVariablesBytes), nil
		}
		values[name] = v
	}
	return values, nil, nil
}

// choice is what variables are chosen for.
type choice struct {
	of           agentconfig.GitLabVariables
	project, ref string
	protected    bool // the ref is, as far as it matters
}

// choose is the value of one variable.
func (c *choice) choose(name string, all []gitlab.Variable) (string, error) {
	var best *gitlab.Variable
	var scopes []string
	withheld := false
	for i := range all {
		v := &all[i]
		if v.Key != name {
			continue
		}
		scopes = append(scopes, v.Scope)
		fits := rank(v.Scope, c.of.Environment)
		switch {
		case fits == 0:
		case v.Protected && !c.protected:
			withheld = true
		case best == nil || closer(v.Scope, best.Scope, c.of.Environment):
			best = v
		}
	}
	if best == nil {
		return "", c.missing(name, scopes, withheld)
	}
	return best.Value, c.unfit(best)
}

// missing says why a variable has no value here.
func (c *choice) missing(name string, scopes []string, withheld bool) error {
	what := fmt.Sprintf("substitute.gitlab: variable %s of project %s", name, c.project)
	switch {
	case withheld:
		return fmt.Errorf("%s is protected, and %s is no protected branch or tag; protect that, or take the protection from the variable", what, c.ref)
	case len(scopes) == 0:
		return fmt.Errorf("%s is not there; add it in the project's settings of CI/CD (those of groups are not read), or take it out of the entry", what)
	case c.of.Environment == "":
		slices.Sort(scopes)
		return fmt.Errorf("%s is for the environments %s only; name one in substitute.gitlab.environment, or give the variable a value for all (*)", what, few(scopes))
	}
	slices.Sort(scopes)
	return fmt.Errorf("%s is for the environments %s and not for %s; give it a value for that one", what, few(scopes), c.of.Environment)
}

// few shows the first scopes of a list.
func few(scopes []string) string {
	const most = 5
	if len(scopes) > most {
		return strings.Join(scopes[:most], ", ") + " and others"
	}
	return strings.Join(scopes, ", ")
}

// unfit says why a value cannot be substituted.
func (c *choice) unfit(v *gitlab.Variable) error {
	what := fmt.Sprintf("substitute.gitlab: variable %s of project %s", v.Key, c.project)
	const instead = "put the value into a Secret of the cluster and name that in substitute.from"
	switch {
	case v.Hidden:
		return fmt.Errorf("%s is hidden, so GitLab shows its value to jobs only; make it anew without that, or %s", what, instead)
	case v.File:
		return fmt.Errorf("%s is of the type file, and a value stands in a line; make it an ordinary variable, or use a Secret as a file of the application", what)
	case len(v.Value) > MaxVariableBytes:
		return fmt.Errorf("%s has %d bytes, and the limit is %d; use a Secret as a file of the application", what, len(v.Value), MaxVariableBytes)
	case strings.ContainsFunc(v.Value, unicode.IsControl):
		return fmt.Errorf("%s has more than one line or control characters; use a Secret as a file of the application", what)
	}
	return nil
}

// rank says how closely a scope names an environment, "" being none; 0 is not at
// all. As in GitLab all environments come last and a whole name first; between
// those, where GitLab says nothing, the longer scope is the closer one.
func rank(scope, environment string) int {
	const all, some, exact = 1, 2, 1000
	switch {
	case scope == "*":
		return all
	case environment == "":
		return 0
	case scope == environment:
		return exact
	case wild(scope, environment):
		return min(some+len(scope), exact-1)
	}
	return 0
}

// closer says whether one scope is taken before another.
func closer(one, other, environment string) bool {
	a, b := rank(one, environment), rank(other, environment)
	return a > b || a == b && one < other
}

// wild says whether a text is what a scope with * in it stands for. It never goes
// back in either.
func wild(scope, text string) bool {
	parts := strings.Split(scope, "*")
	last := len(parts) - 1
	if last == 0 || !strings.HasPrefix(text, parts[0]) {
		return false
	}
	text = text[len(parts[0]):]
	for _, p := range parts[1:last] {
		_, after, found := strings.Cut(text, p)
		if !found {
			return false
		}
		text = after
	}
	return strings.HasSuffix(text, parts[last])
}
