package strictyaml

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
	return fmt.Sprintf("%s:%d:%d: %s", f.File, f.Line, f.Column, f.Text())
}

// Text is the fault without its place.
func (f Fault) Text() string {
	var b strings.Builder
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

// Sorted orders the faults by place and cuts them to MaxFaults, the last of
// which then says how many more there are.
func (f Faults) Sorted() Faults {
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

// Notice is something the file's owner should know that is not a fault.
type Notice struct {
	File         string
	Line, Column int
	Key, Text    string
}

// String is the notice as one line.
func (n Notice) String() string {
	return fmt.Sprintf("%s:%d:%d: %s: %s", n.File, n.Line, n.Column, n.Key, n.Text)
}
