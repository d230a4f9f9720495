package grep

import (
	"strconv"
	"strings"
)

// window prints the matches of one file with the lines around them.
type window struct {
	*search
	name   string
	before []string // the latest lines that were not printed
	left   int      // lines of context to print yet
	last   int      // number of the last line that was printed
}

func (w *window) match(number int, line string) {
	first := number - len(w.before)
	if w.last > 0 && w.last < first-1 && w.search.before+w.after > 0 && !w.set["o"] {
		w.out.WriteString("--\n") //nolint:errcheck // Flush tells
	}
	for i, text := range w.before {
		w.print(first+i, "-", text)
	}
	w.before, w.left, w.last = w.before[:0], w.after, number
	if !w.set["o"] {
		w.print(number, ":", line)
		return
	}
	if w.set["v"] {
		return
	}
	for _, part := range w.pattern.shown(line) {
		if part[0] < part[1] {
			w.print(number, ":", line[part[0]:part[1]])
		}
	}
}

// other takes a line that does not match.
func (w *window) other(number int, line string) {
	switch {
	case w.set["o"] || w.set["q"] || w.set["c"] || w.set["l"] || w.set["L"]:
	case w.left > 0:
		w.left--
		w.last = number
		w.print(number, "-", line)
	case w.search.before > 0:
		if len(w.before) == w.search.before {
			w.before = w.before[1:]
		}
		w.before = append(w.before, line)
	}
}

// print writes one line; sep stands behind its name and number.
func (w *window) print(number int, sep, line string) {
	var b strings.Builder
	if w.names {
		b.WriteString(w.name + sep)
	}
	if w.set["n"] {
		b.WriteString(strconv.Itoa(number) + sep)
	}
	b.WriteString(line)
	b.WriteByte(w.end)
	w.out.WriteString(b.String()) //nolint:errcheck // Flush tells
}
