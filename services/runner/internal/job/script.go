package job

import (
	"fmt"
	"strconv"
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

// What follows the name of a section in its markers.
const (
	sectionOptions = "[hide_duration=true,collapsed=true]" // at its start
	sectionMark    = "\r\x1b[0K"
)

// newScript joins the items of a step. Before each item comes a command that
// echoes it, as GitLab's runner has it (section 11): an item may be a part of
// a larger construct, so the echoes must be commands of the shell itself. An item
// of several lines is shown by its first alone, or, where sections begins a name,
// whole in a collapsed section (section 16).
func newScript(items []string, sections string) (*script, error) {
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
		before, after, err := echoes(item, sections, i)
		if err != nil {
			return nil, fmt.Errorf("script item %d: %w", i+1, err)
		}
		add(before, false)
		for line := range strings.SplitSeq(item, "\n") {
			add(line, true)
		}
		if after != "" {
			add(after, false)
		}
	}
	s.text = b.String()
	return s, nil
}

// echoes are the commands before and after an item that show it in the log.
func echoes(item, sections string, i int) (before, after string, err error) {
	shown, _, several := strings.Cut(item, "\n")
	if !several || sections == "" {
		if several {
			shown += collapsed
		}
		quoted, err := syntax.Quote(ansiGreen+"$ "+shown+ansiReset, syntax.LangBash)
		return "echo " + quoted, "", err
	}
	name := sections + strconv.Itoa(i)
	quoted, err := syntax.Quote(name+sectionOptions+sectionMark+ansiGreen+"$ "+item+ansiReset, syntax.LangBash)
	if err != nil {
		return "", "", err
	}
	end, err := syntax.Quote(name+sectionMark, syntax.LangBash)
	return `echo "section_start:$EPOCHSECONDS:"` + quoted, `echo "section_end:$EPOCHSECONDS:"` + end, err
}

// userLine translates a line of the text.
func (s *script) userLine(line uint) uint {
	if line < uint(len(s.lines)) {
		return s.lines[line]
	}
	return s.lines[len(s.lines)-1]
}
