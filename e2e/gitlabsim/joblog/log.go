package joblog

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Line is one line of the page. Text is without escape sequences, ANSI keeps
// colours.
type Line struct {
	Text   string    `json:"text"`
	ANSI   string    `json:"ansi"`
	At     time.Time `json:"at,omitzero"`
	Stream string    `json:"stream,omitempty"`
	// Section is the path of the innermost open section, "a/b".
	Section string `json:"section,omitempty"`
}

// Section is one section with its own lines, the header left out.
type Section struct {
	Name         string        `json:"name"`
	Header       string        `json:"header"`
	Start        time.Time     `json:"start"`
	Duration     time.Duration `json:"duration"`
	Closed       bool          `json:"closed"`
	Collapsed    bool          `json:"collapsed,omitempty"`
	HideDuration bool          `json:"hide_duration,omitempty"`
	Lines        []string      `json:"lines"`
	Sections     []*Section    `json:"sections,omitempty"`
	hasHeader    bool
}

// Log is a whole rendered log.
type Log struct {
	Lines      []Line     `json:"lines"`
	Sections   []*Section `json:"sections"`
	Timestamps bool       `json:"timestamps,omitempty"`
	// Errors lists malformed, unknown and unbalanced sections and mixed
	// timestamps, in order.
	Errors []string `json:"errors,omitempty"`
}

var (
	marker    = regexp.MustCompile(`section_(start|end):(\d+):([A-Za-z0-9_.\-]+)(\[[^\]\r\n]*\])?\r\x1b\[0K`)
	nearly    = regexp.MustCompile(`section_(?:start|end):\d+:?[^\r\n]{0,40}`)
	optionKey = map[string]bool{"collapsed": true, "hide_duration": true}
)

// Parse renders a raw log.
func Parse(raw []byte) Log {
	lines, stamped, errs := split(raw)
	p := &parser{log: Log{Timestamps: stamped, Errors: errs}}
	for _, l := range lines {
		p.line(l)
	}
	for i := len(p.open) - 1; i >= 0; i-- {
		p.fail("section %q is never closed", p.open[i].Name)
	}
	return p.log
}

// Text is the page's plain text; with keepANSI colours stay.
func Text(raw []byte, keepANSI bool) string {
	var b strings.Builder
	for _, l := range Parse(raw).Lines {
		if keepANSI {
			b.WriteString(l.ANSI)
		} else {
			b.WriteString(l.Text)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// Find answers the first section of that name, at any depth.
func (l Log) Find(name string) *Section { return find(l.Sections, name) }

func find(list []*Section, name string) *Section {
	for _, s := range list {
		if s.Name == name {
			return s
		}
		if inner := find(s.Sections, name); inner != nil {
			return inner
		}
	}
	return nil
}

type parser struct {
	log  Log
	open []*Section
}

func (p *parser) fail(format string, args ...any) {
	p.log.Errors = append(p.log.Errors, fmt.Sprintf(format, args...))
}

// line cuts a logical line at its section markers; a marker ends the visible
// line before it.
func (p *parser) line(l rawLine) {
	rest, marked := l.text, false
	for {
		at := marker.FindStringSubmatchIndex(rest)
		if at == nil {
			break
		}
		if before := rest[:at[0]]; escapes.ReplaceAllString(before, "") != "" {
			p.visible(l, before)
		}
		p.mark(marker.FindStringSubmatch(rest))
		rest, marked = rest[at[1]:], true
	}
	if marked && escapes.ReplaceAllString(rest, "") == "" {
		return
	}
	p.visible(l, rest)
}

func (p *parser) visible(l rawLine, text string) {
	if m := nearly.FindString(text); m != "" {
		p.fail("malformed section marker: %q", m)
	}
	text = settle(text)
	line := Line{Text: escapes.ReplaceAllString(text, ""), ANSI: otherThanM.ReplaceAllString(text, ""), At: l.at, Stream: l.stream}
	names := make([]string, len(p.open))
	for i, s := range p.open {
		names[i] = s.Name
	}
	line.Section = strings.Join(names, "/")
	p.log.Lines = append(p.log.Lines, line)
	if len(p.open) == 0 {
		return
	}
	if s := p.open[len(p.open)-1]; !s.hasHeader {
		s.Header, s.hasHeader = line.Text, true
	} else {
		s.Lines = append(s.Lines, line.Text)
	}
}

func (p *parser) mark(m []string) {
	seconds, err := strconv.ParseInt(m[2], 10, 64)
	if err != nil {
		p.fail("section %q has a bad time %q", m[3], m[2])
	}
	at := time.Unix(seconds, 0).UTC()
	if m[1] == "end" {
		p.end(m[3], at)
		return
	}
	s := &Section{Name: m[3], Start: at, Lines: []string{}}
	p.options(s, m[4])
	for _, o := range p.open {
		if o.Name == s.Name {
			p.fail("section %q is opened inside itself", s.Name)
		}
	}
	if len(p.open) == 0 {
		p.log.Sections = append(p.log.Sections, s)
	} else {
		outer := p.open[len(p.open)-1]
		outer.Sections = append(outer.Sections, s)
	}
	p.open = append(p.open, s)
}

func (p *parser) options(s *Section, text string) {
	for _, o := range strings.Split(strings.Trim(text, "[]"), ",") {
		if o == "" {
			continue
		}
		key, value, _ := strings.Cut(o, "=")
		if !optionKey[key] || value != "true" && value != "false" {
			p.fail("section %q has the unknown option %q", s.Name, o)
		}
		switch key {
		case "collapsed":
			s.Collapsed = value == "true"
		case "hide_duration":
			s.HideDuration = value == "true"
		}
	}
}

func (p *parser) end(name string, at time.Time) {
	i := len(p.open) - 1
	for i >= 0 && p.open[i].Name != name {
		i--
	}
	if i < 0 {
		p.fail("section %q is closed but not open", name)
		return
	}
	for _, inner := range p.open[i+1:] {
		p.fail("section %q is closed before %q, which is inside it", name, inner.Name)
	}
	s := p.open[i]
	p.open = p.open[:i]
	s.Closed, s.Duration = true, at.Sub(s.Start)
	if s.Duration < 0 {
		p.fail("section %q ends before it starts", name)
	}
	if !s.hasHeader {
		p.fail("section %q has no header", name)
	}
}
