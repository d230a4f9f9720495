package job

import (
	"fmt"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// script is the text of one step as the shell gets it.
type script struct {
	text string
	// lines maps a line of the text (from 1) to the line of the user's own
	// script, in which the echoed commands do not count.
	lines []uint
}

// collapsed marks a command of several lines in the log.
const collapsed = " # collapsed multi-line command"

// newScript joins the items of a step. Before each item comes a command that
// echoes it, as GitLab's runner has it (section 11): an item may be a part of
// a larger construct, so the echoes must be commands of the shell itself.
func newScript(items []string) (*script, error) {
	s := &script{lines: []uint{0}}
	var b strings.Builder
	user := uint(0)
	add := func(line string, own bool) {
		b.WriteString(line)
		b.WriteByte('\n')
		if own {
			user++
		}
		s.lines = append(s.lines, max(user, 1))
	}
	for i, item := range items {
		item = strings.TrimSpace(item)
		if item == "" {
			add("echo", false)
			continue
		}
		shown, _, several := strings.Cut(item, "\n")
		if several {
			shown += collapsed
		}
		quoted, err := syntax.Quote(ansiGreen+"$ "+shown+ansiReset, syntax.LangBash)
		if err != nil {
			return nil, fmt.Errorf("script item %d: %w", i+1, err)
		}
		add("echo "+quoted, false)
		for line := range strings.SplitSeq(item, "\n") {
			add(line, true)
		}
	}
	s.text = b.String()
	return s, nil
}

// userLine translates a line of the text.
func (s *script) userLine(line uint) uint {
	if line < uint(len(s.lines)) {
		return s.lines[line]
	}
	return s.lines[len(s.lines)-1]
}
