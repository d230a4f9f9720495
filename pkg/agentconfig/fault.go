package agentconfig

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Fault is one thing wrong with a file: where, what, and what to do about it.
type Fault struct {
	File         string
	Line, Column int
	// Key is the path of the key, for example ci_access.projects[0].id; empty
	// when the file as a whole is meant.
	Key     string
	Problem string
	Remedy  string
}

// Error is the fault as one line:
// `config.yaml:12:5: ci_access.project: unknown key; did you mean "projects"?`.
func (f Fault) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: ", f.File, f.Line, f.Column)
	if f.Key != "" {
		b.WriteString(f.Key + ": ")
	}
	b.WriteString(f.Problem)
	if f.Remedy != "" {
		b.WriteString("; " + f.Remedy)
	}
	return b.String()
}

// Faults is everything wrong with a file, in the order of its lines.
type Faults []Fault

// Error is one line for each fault.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i := range f {
		lines[i] = f[i].Error()
	}
	return strings.Join(lines, "\n")
}

// sorted orders the faults by place and cuts them to MaxFaults, the last of
// which then says how many more there are.
func (f Faults) sorted() Faults {
	slices.SortStableFunc(f, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	if len(f) <= MaxFaults {
		return f
	}
	last := f[MaxFaults-1]
	more := len(f) - MaxFaults + 1
	return append(f[:MaxFaults-1:MaxFaults-1], Fault{
		File: last.File, Line: last.Line, Column: last.Column,
		Problem: fmt.Sprintf("%d more faults from here on", more), Remedy: "repair those above first",
	})
}
