package agentconfig

import (
	"regexp"
	"strings"
)

// maxPattern bounds the patterns that are read the way GitLab reads them; the
// name of an environment has at most 255 characters there.
const maxPattern = 1024

// EnvironmentMatch says whether an entry's environments let a job in, by
// Towline's reading and by GitLab's.
type EnvironmentMatch struct {
	// Allowed is Towline's answer. Pattern is the one that matched, "" when
	// the entry names none or none matched.
	Allowed bool
	Pattern string
	// GitLabAllowed is what GitLab would answer. Its patterns are regular
	// expressions without anchors in which only "*" is translated, so "prod*"
	// also matches "nonprod" there (agent-config sheet, section 2.5).
	// GitLabPattern is the one that matches there.
	GitLabAllowed bool
	GitLabPattern string
}

// Differs says whether GitLab would answer otherwise.
func (m EnvironmentMatch) Differs() bool { return m.Allowed != m.GitLabAllowed }

// MatchEnvironment compares the name of a job's environment, "" for none, with
// the entry's patterns. In a pattern only "*" is special: it stands for any
// text, slashes included. A job without an environment never matches a
// non-empty list.
func (e Entry) MatchEnvironment(name string) EnvironmentMatch {
	if len(e.Environments) == 0 {
		return EnvironmentMatch{Allowed: true, GitLabAllowed: true}
	}
	var m EnvironmentMatch
	if name == "" {
		return m
	}
	for _, p := range e.Environments {
		if !m.Allowed && MatchPattern(p, name) {
			m.Allowed, m.Pattern = true, p
		}
		if !m.GitLabAllowed && gitLabMatches(p, name) {
			m.GitLabAllowed, m.GitLabPattern = true, p
		}
	}
	return m
}

// MatchPattern compares the whole name with the whole pattern, in which only "*"
// is special. It looks at each star once, so no pattern can make it slow.
func MatchPattern(pattern, name string) bool {
	head, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == name
	}
	if !strings.HasPrefix(name, head) {
		return false
	}
	name = name[len(head):]
	for {
		part, after, more := strings.Cut(rest, "*")
		if !more {
			return strings.HasSuffix(name, part)
		}
		i := strings.Index(name, part)
		if i < 0 {
			return false
		}
		name, rest = name[i+len(part):], after
	}
}

// gitLabMatches reads the pattern as GitLab does. A pattern that is not a
// regular expression raises an error there and matches nothing here.
func gitLabMatches(pattern, name string) bool {
	switch {
	case strings.TrimSpace(pattern) == "" || len(pattern) > maxPattern:
		return false
	case pattern == name:
		return true
	case !strings.Contains(pattern, "*"):
		return false
	}
	re, err := regexp.Compile(strings.ReplaceAll(pattern, "*", ".*"))
	return err == nil && re.MatchString(name)
}
