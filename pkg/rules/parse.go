package rules

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	_ "time/tzdata" // time windows have time zones, and images have no files of them

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"

	"github.com/towline/towline/pkg/strictyaml"
)

// File is a rules file: its name, as faults and decisions show it, and its
// content.
type File struct {
	Name    string
	Content []byte
}

// Set is rules that can be asked. It is read only and safe for concurrent use; a
// nil Set has no rules.
type Set struct {
	rules map[Stage][]*rule
	// Revision identifies the files' names and contents.
	Revision string
}

// rule is one rule, ready to be asked.
type rule struct {
	name, place string // place is file:line
	kind        kind
	when, body  cel.Program // when is nil for always
	message     string
	text        string // of the body
}

// String names the rule and its place, for example
// `rule "tags-only" (rules.yaml:3)`.
func (r *rule) String() string { return fmt.Sprintf("rule %q (%s)", r.name, r.place) }

// Len is how many rules there are.
func (s *Set) Len() int {
	if s == nil {
		return 0
	}
	return len(s.rules[StageJob]) + len(s.rules[StageRequest])
}

// List names each rule with its stage and place, for people.
func (s *Set) List() []string {
	out := []string{}
	if s == nil {
		return out
	}
	for _, stage := range []Stage{StageJob, StageRequest} {
		for _, r := range s.rules[stage] {
			out = append(out, fmt.Sprintf("%s, asked for each %s", r, stage))
		}
	}
	return out
}

// Parse reads rules files. When anything is wrong with any of them the error is
// a strictyaml.Faults that lists all of it, and there is no Set.
func Parse(files ...File) (*Set, error) {
	envs, err := environments()
	if err != nil {
		return nil, fmt.Errorf("the language of rules: %w", err)
	}
	s := &Set{rules: map[Stage][]*rule{}}
	sum := sha256.New()
	var faults strictyaml.Faults
	seen := map[string]string{}
	for _, f := range files {
		fmt.Fprintf(sum, "%q %d\n", f.Name, len(f.Content))
		sum.Write(f.Content)
		faults = append(faults, s.file(f, envs, seen)...)
	}
	if n := s.Len(); n > MaxRules && len(faults) == 0 {
		faults = append(faults, strictyaml.Fault{File: files[len(files)-1].Name, Line: 1, Column: 1, Problem: fmt.Sprintf("%d rules in all files", n), Remedy: fmt.Sprintf("at most %d are allowed", MaxRules)})
	}
	if len(faults) > 0 {
		return nil, faults
	}
	s.Revision = hex.EncodeToString(sum.Sum(nil))
	return s, nil
}

// file adds the rules of one file; seen are the places of names so far.
func (s *Set) file(f File, envs map[Stage]*cel.Env, seen map[string]string) strictyaml.Faults {
	root, _, err := strictyaml.Parse(f.Name, f.Content, file, strictyaml.Options{MaxBytes: MaxFile, TooLarge: "split it into several files of one directory"})
	var faults strictyaml.Faults
	switch {
	case errors.As(err, &faults):
		return faults
	case err != nil:
		return strictyaml.Faults{{File: f.Name, Line: 1, Column: 1, Problem: err.Error()}}
	case root == nil:
		return strictyaml.Faults{{File: f.Name, Line: 1, Column: 1, Problem: "is empty", Remedy: "write rules: [] if there are to be no rules"}}
	}
	c := &compiler{lines: strings.Split(string(f.Content), "\n"), envs: envs}
	for _, v := range root.Get("rules").Items() {
		stage, r := c.rule(f.Name, v)
		if first := seen[r.name]; first != "" {
			c.refuse(v.Get("name"), fmt.Sprintf("%q is the name of another rule", r.name), "that one is in "+first)
		}
		seen[r.name] = r.place
		s.rules[stage] = append(s.rules[stage], r)
	}
	return c.faults.Sorted()
}

func (c *compiler) rule(file string, v *strictyaml.Value) (Stage, *rule) {
	line, _ := v.Place()
	stage := StageJob
	if text := v.Get("stage").Text(); text != "" {
		stage = Stage(text)
	}
	r := &rule{name: v.Get("name").Text(), place: fmt.Sprintf("%s:%d", file, line), message: strings.TrimSpace(v.Get("message").Text())}
	r.when = c.program(v.Get("when"), stage, types.BoolType)
	var given []kind
	for _, k := range kinds {
		if v.Get(string(k)) != nil {
			given = append(given, k)
		}
	}
	if len(given) != 1 {
		c.refuse(v, fmt.Sprintf("has %d of allow, deny, require and namespaces", len(given)), "a rule does exactly one of them")
		return stage, r
	}
	r.kind = given[0]
	body := v.Get(string(r.kind))
	r.text = strings.Join(strings.Fields(body.Text()), " ")
	want := types.BoolType
	if r.kind == namespaces {
		want = listOfTexts
	}
	r.body = c.program(body, stage, want)
	switch {
	case r.kind == namespaces && stage != StageJob:
		c.refuse(body, "namespaces are narrowed before a job starts", "remove stage: request, or write a require about request.namespace")
	case r.message == "" && slices.Contains([]kind{deny, require}, r.kind):
		c.refuse(v, "message is missing", "tell the author of a refused job what to do instead")
	}
	return stage, r
}
