package ciyaml

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Lookup answers the value of a variable and whether it is defined.
type Lookup func(key string) (string, bool)

// Resolve applies the job's rules: the first one that matches decides when,
// allow_failure and extra variables. ok is false when the job is left out.
func (j Job) Resolve(vars Lookup) (resolved Job, ok bool, err error) {
	if !j.HasRules {
		if j.When == "manual" && !j.AllowFailure.Set {
			j.AllowFailure = AllowFailure{Set: true, All: true}
		}
		return j, j.When != "never", nil
	}
	for _, r := range j.Rules {
		match := true
		if r.If != "" {
			if match, err = Eval(r.If, vars); err != nil {
				return j, false, err
			}
		}
		if !match {
			continue
		}
		if r.When != "" {
			j.When = r.When
		}
		if r.AllowFailure != nil {
			j.AllowFailure = AllowFailure{Set: true, All: *r.AllowFailure}
		}
		j.Variables = Override(j.Variables, r.Variables)
		return j, j.When != "never", nil
	}
	return j, false, nil
}

// Files tells which files a rule may ask for.
type Files struct {
	// Changed are the files of the push; nil means that GitLab cannot tell, and
	// then every changes rule matches.
	Changed []string
	All     []string
}

// Among leaves out the rules that ask for files and do not find them.
func Among(rules []Rule, f Files) []Rule {
	return slices.DeleteFunc(slices.Clone(rules), func(r Rule) bool {
		return len(r.Changes) > 0 && f.Changed != nil && !anyMatch(r.Changes, f.Changed) ||
			len(r.Exists) > 0 && !anyMatch(r.Exists, f.All)
	})
}

func anyMatch(globs, files []string) bool {
	return slices.ContainsFunc(globs, func(glob string) bool { return slices.ContainsFunc(files, globPattern(glob).MatchString) })
}

// globPattern translates a glob: ** crosses folders, * and ? do not.
func globPattern(glob string) *regexp.Regexp {
	text := regexp.QuoteMeta(glob)
	text = strings.NewReplacer(`\*\*/`, `(?:.*/)?`, `\*\*`, `.*`, `\*`, `[^/]*`, `\?`, `[^/]`).Replace(text)
	return regexp.MustCompile("^" + text + "$")
}

// Override returns base with more applied: a known key keeps its place and
// takes the new value, as GitLab merges YAML variables.
func Override(base, more []Variable) []Variable {
	out := slices.Clone(base)
	for _, v := range more {
		if i := slices.IndexFunc(out, func(o Variable) bool { return o.Key == v.Key }); i >= 0 {
			out[i] = v
		} else {
			out = append(out, v)
		}
	}
	return out
}

var ruleToken = regexp.MustCompile(`^\s*(\(|\)|&&|\|\||==|!=|=~|!~|\$[A-Za-z_][A-Za-z0-9_]*|"[^"]*"|'[^']*'|/(?:[^/\\]|\\.)*/i?|null)`)

type ruleParser struct {
	tokens []string
	vars   Lookup
}

// Eval evaluates a rules:if expression: variables, strings, null, == != =~ !~,
// && || and parentheses.
func Eval(expr string, vars Lookup) (bool, error) {
	p := &ruleParser{vars: vars}
	for rest := expr; strings.TrimSpace(rest) != ""; {
		m := ruleToken.FindStringSubmatch(rest)
		if m == nil {
			return false, fmt.Errorf("rules:if: invalid expression syntax in %q", expr)
		}
		p.tokens = append(p.tokens, m[1])
		rest = rest[len(m[0]):]
	}
	v, err := p.or()
	if err == nil && len(p.tokens) > 0 {
		err = fmt.Errorf("unexpected %q", p.tokens[0])
	}
	if err != nil {
		return false, fmt.Errorf("rules:if: %w in %q", err, expr)
	}
	return v, nil
}

func (p *ruleParser) take(want ...string) string {
	if len(p.tokens) == 0 || len(want) > 0 && !slices.Contains(want, p.tokens[0]) {
		return ""
	}
	t := p.tokens[0]
	p.tokens = p.tokens[1:]
	return t
}

func (p *ruleParser) or() (bool, error) {
	v, err := p.and()
	for err == nil && p.take("||") != "" {
		var w bool
		w, err = p.and()
		v = v || w
	}
	return v, err
}

func (p *ruleParser) and() (bool, error) {
	v, err := p.comparison()
	for err == nil && p.take("&&") != "" {
		var w bool
		w, err = p.comparison()
		v = v && w
	}
	return v, err
}

func (p *ruleParser) comparison() (bool, error) {
	if p.take("(") != "" {
		v, err := p.or()
		if err == nil && p.take(")") == "" {
			err = fmt.Errorf("missing )")
		}
		return v, err
	}
	left, leftSet, err := p.operand()
	if err != nil {
		return false, err
	}
	op := p.take("==", "!=", "=~", "!~")
	if op == "" {
		return leftSet && left != "", nil
	}
	if op == "=~" || op == "!~" {
		re, err := p.pattern()
		if err != nil {
			return false, err
		}
		return re.MatchString(left) == (op == "=~"), nil
	}
	right, rightSet, err := p.operand()
	return (left == right && leftSet == rightSet) == (op == "=="), err
}

func (p *ruleParser) operand() (string, bool, error) {
	t := p.take()
	switch {
	case strings.HasPrefix(t, "$"):
		v, ok := p.vars(t[1:])
		return v, ok, nil
	case t == "null":
		return "", false, nil
	case strings.HasPrefix(t, `"`) || strings.HasPrefix(t, "'"):
		return t[1 : len(t)-1], true, nil
	}
	return "", false, fmt.Errorf("unexpected %q", t)
}

func (p *ruleParser) pattern() (*regexp.Regexp, error) {
	t := p.take()
	if !strings.HasPrefix(t, "/") {
		return nil, fmt.Errorf("%q is not a pattern", t)
	}
	prefix := ""
	if strings.HasSuffix(t, "i") {
		t, prefix = strings.TrimSuffix(t, "i"), "(?i)"
	}
	return regexp.Compile(prefix + strings.ReplaceAll(t[1:len(t)-1], `\/`, "/"))
}
