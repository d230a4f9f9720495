package unified

import (
	"fmt"
	"strings"
)

// Context is how many unchanged lines surround a change, as in `diff -u`.
const Context = 3

// Line is one line of a hunk, with its line feed unless the text ends without.
type Line struct {
	Kind byte // ' ', '-' or '+'
	Text string
}

// Hunk is a run of changes with its context. Lines count from 1; a range
// without lines names the line before it.
type Hunk struct {
	FromLine, FromCount int
	ToLine, ToCount     int
	Lines               []Line
}

// Diff is the complete unified difference with its two header lines, or "" when
// the texts are equal.
func Diff(fromName, toName, from, to string) string {
	hunks := Hunks(from, to, Context)
	if len(hunks) == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "--- %s\n+++ %s\n", fromName, toName)
	for _, h := range hunks {
		b.WriteString(h.String())
	}
	return b.String()
}

// Hunks are the differences of two texts with so many lines of context.
func Hunks(from, to string, context int) []Hunk {
	if from == to {
		return nil
	}
	return Compare(Split(from), Split(to), func(line string) string { return line }, context)
}

// Compare is Hunks of lines that count as equal when key makes the same of
// them.
func Compare(from, to []string, key func(string) string, context int) []Hunk {
	keys := func(lines []string) []string {
		out := make([]string, len(lines))
		for i, line := range lines {
			out[i] = key(line)
		}
		return out
	}
	removed, added := changes(keys(from), keys(to))
	return group(from, to, removed, added, context)
}

// Header is the line that begins the hunk, without a line feed.
func (h Hunk) Header() string {
	return fmt.Sprintf("@@ -%s +%s @@", span(h.FromLine, h.FromCount), span(h.ToLine, h.ToCount))
}

// String is the hunk as `diff -u` writes it.
func (h Hunk) String() string {
	var b strings.Builder
	b.WriteString(h.Header() + "\n")
	h.Body(&b)
	return b.String()
}

// Body writes the lines below the header.
func (h Hunk) Body(b *strings.Builder) {
	for _, l := range h.Lines {
		b.WriteByte(l.Kind)
		b.WriteString(l.Text)
		if !strings.HasSuffix(l.Text, "\n") {
			b.WriteString("\n\\ No newline at end of file\n")
		}
	}
}

func span(line, count int) string {
	if count == 1 {
		return fmt.Sprint(line)
	}
	return fmt.Sprintf("%d,%d", line, count)
}

// Split divides a text into lines that keep their line feeds.
func Split(text string) []string {
	lines := strings.SplitAfter(text, "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}

// group makes hunks of the marked lines.
func group(a, b []string, removed, added []bool, context int) []Hunk {
	var out []Hunk
	var h *Hunk
	quiet := 0 // unchanged lines at the end of h
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		change := i < len(a) && removed[i] || j < len(b) && added[j]
		switch {
		case change && h == nil:
			h = &Hunk{FromLine: i + 1, ToLine: j + 1}
			h.lead(a, i, j, removed, added, context)
			quiet = 0
		case !change && h != nil && quiet == 2*context:
			out = append(out, h.trimmed(quiet-context))
			h = nil
		}
		switch {
		case i < len(a) && removed[i]:
			h.Lines = append(h.Lines, Line{'-', a[i]})
			i++
			quiet = 0
		case j < len(b) && added[j]:
			h.Lines = append(h.Lines, Line{'+', b[j]})
			j++
			quiet = 0
		default:
			if h != nil {
				h.Lines = append(h.Lines, Line{' ', a[i]})
				quiet++
			}
			i++
			j++
		}
	}
	if h != nil {
		out = append(out, h.trimmed(max(0, quiet-context)))
	}
	return out
}

// lead puts the context before the first change of a hunk.
func (h *Hunk) lead(a []string, i, j int, removed, added []bool, context int) {
	start := 0
	for start < context && i-start > 0 && j-start > 0 && !removed[i-start-1] && !added[j-start-1] {
		start++
	}
	h.FromLine -= start
	h.ToLine -= start
	for k := i - start; k < i; k++ {
		h.Lines = append(h.Lines, Line{' ', a[k]})
	}
}

// trimmed is the hunk without its last n lines, and counted.
func (h *Hunk) trimmed(n int) Hunk {
	h.Lines = h.Lines[:len(h.Lines)-n]
	for _, l := range h.Lines {
		if l.Kind != '+' {
			h.FromCount++
		}
		if l.Kind != '-' {
			h.ToCount++
		}
	}
	if h.FromCount == 0 {
		h.FromLine--
	}
	if h.ToCount == 0 {
		h.ToLine--
	}
	return *h
}
