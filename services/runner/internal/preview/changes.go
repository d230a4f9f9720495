package preview

import (
	"fmt"
	"io"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/towline/towline/services/runner/internal/apply"
	"github.com/towline/towline/services/runner/internal/apply/objref"
	"github.com/towline/towline/services/runner/internal/toolbox/unified"
)

// Change is one object that would not stay as it is.
type Change struct {
	Object string       // Kind namespace/name
	Action apply.Action // created, configured, replaced or pruned
	File   string       // "" for what has left the repository
	Line   int
	Fields []string // that would change, of what exists
	Diff   string   // unified; "" for what would be deleted
}

// Problem is what would make the commit fail.
type Problem struct {
	Text string
	File string // "" if it is of no file
	Line int
}

// Note is what would happen besides.
type Note struct {
	Text string
	File string // "" if it is of no file
}

// Changes are what a working tree would change.
type Changes struct {
	Changes   []Change
	Problems  []Problem
	Unchanged int
	// Hooks would run, and Release says what becomes of a release; "" is nothing.
	Hooks   []Note
	Release string
}

// Any says whether anything would happen.
func (c Changes) Any() bool { return len(c.Changes) > 0 || c.Release != "" }

// Tried is what the API server has found; Concealed takes secrets out of a text.
type Tried interface{ Concealed(text string) string }

// Of makes changes of what was tried. replace says that what cannot be changed
// in place is made again.
func Of(r *apply.Report, tried Tried, replace bool) (Changes, error) {
	var out Changes
	for i := range r.Faults {
		f := &r.Faults[i]
		out.Problems = append(out.Problems, Problem{Text: tried.Concealed(f.Error()), File: f.Origin.File, Line: f.Origin.Line})
	}
	for i := range r.Results {
		res := &r.Results[i]
		switch res.Action {
		case apply.Unchanged, apply.Kept:
			out.Unchanged++
			continue
		case apply.Skipped:
			if res.Reason == apply.ReasonStopped {
				continue // it says nothing of its own
			}
		case apply.Failed:
			if res.Reason == apply.ReasonImmutable && replace {
				out.Changes = append(out.Changes, Change{Object: res.Object.String(), Action: apply.Replaced, File: res.Origin.File, Line: res.Origin.Line})
				continue
			}
		case apply.Created, apply.Configured, apply.Replaced, apply.Pruned:
			c, err := change(res, tried)
			if err != nil {
				return out, err
			}
			out.Changes = append(out.Changes, c)
			continue
		}
		out.Problems = append(out.Problems, Problem{Text: tried.Concealed(res.Line()), File: res.Origin.File, Line: res.Origin.Line})
	}
	if r.Incomplete != "" && len(out.Problems) == 0 {
		out.Problems = append(out.Problems, Problem{Text: r.Incomplete})
	}
	return out, nil
}

func change(res *apply.Result, tried Tried) (Change, error) {
	c := Change{Object: res.Object.String(), Action: res.Action, File: res.Origin.File, Line: res.Origin.Line}
	if res.Action == apply.Pruned {
		return c, nil
	}
	before, after := bare(res.Before), bare(res.After)
	if secret(res.Object) {
		redact(before, after)
	}
	if before != nil {
		c.Fields = changed(before, after)
	}
	conceal(before, after, tried.Concealed)
	from, err := text(before)
	if err != nil {
		return c, err
	}
	to, err := text(after)
	if err != nil {
		return c, err
	}
	name := c.Object + " (in the cluster)"
	if before == nil {
		name = "/dev/null"
	}
	c.Diff = tried.Concealed(unified.Diff(name, fmt.Sprintf("%s (%s)", c.Object, res.Origin), from, to))
	return c, nil
}

func secret(ref objref.Ref) bool { return ref.Group == "" && ref.Kind == "Secret" }

func text(o map[string]any) (string, error) {
	if o == nil {
		return "", nil
	}
	b, err := yaml.Marshal(o)
	return string(b), err
}

// Print writes the differences for people, and a last line that counts them.
func (c Changes) Print(w io.Writer) {
	counts := map[apply.Action]int{}
	for _, one := range c.Changes {
		counts[one.Action]++
		switch {
		case one.Action == apply.Pruned:
			fmt.Fprintf(w, "delete %s: it has left the %s\n", one.Object, c.source())
		case one.Action == apply.Replaced:
			fmt.Fprintf(w, "replace %s (%s:%d): it cannot be changed in place\n", one.Object, one.File, one.Line)
		default:
			fmt.Fprint(w, one.Diff)
		}
	}
	for _, h := range c.Hooks {
		fmt.Fprintln(w, h.Text)
	}
	if c.Release != "" {
		fmt.Fprintln(w, c.Release)
	}
	var parts []string
	for _, a := range []struct {
		action apply.Action
		word   string
	}{{apply.Created, "to create"}, {apply.Configured, "to change"}, {apply.Replaced, "to replace"}, {apply.Pruned, "to delete"}} {
		if n := counts[a.action]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, a.word))
		}
	}
	if len(parts) == 0 {
		parts = append(parts, "nothing to change")
	}
	fmt.Fprintf(w, "%s, %d as they are\n", strings.Join(parts, ", "), c.Unchanged)
}

// source is what objects leave that would be deleted.
func (c Changes) source() string {
	if c.Release != "" {
		return "chart"
	}
	return "repository"
}
