package joblog

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// stampForm is the 32-byte header of a timestamped line: time, stream id,
// O or E, and a space or + (protocol sheet 16.1).
var stampForm = regexp.MustCompile(`^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z) ([0-9a-f]{2})([OE])([ +])`)

const (
	stampLength  = 32
	firstService = 0x0f // streams from here on belong to services
)

// rawLine is one logical line: continuations of its stream joined.
type rawLine struct {
	text   string
	at     time.Time // of its beginning
	last   time.Time // of its last continuation
	stream string    // "00O", empty without timestamps
}

// split cuts the log into logical lines.
func split(raw []byte) (lines []rawLine, stamped bool, errs []string) {
	if len(raw) == 0 {
		return nil, false, nil
	}
	physical := strings.Split(strings.ReplaceAll(string(raw), "\r\n", "\n"), "\n")
	if physical[len(physical)-1] == "" {
		physical = physical[:len(physical)-1]
	}
	if len(physical) == 0 || !stampForm.MatchString(physical[0]) {
		for _, l := range physical {
			if stampForm.MatchString(l) {
				errs = append(errs, "timestamp in a log that began without: "+clip(l))
			}
			lines = append(lines, rawLine{text: l})
		}
		return lines, false, errs
	}
	return joinStreams(physicalStamped(raw))
}

// physicalStamped splits a timestamped log, in which a trailing CR belongs to
// the line.
func physicalStamped(raw []byte) []string {
	out := strings.Split(string(raw), "\n")
	if out[len(out)-1] == "" {
		out = out[:len(out)-1]
	}
	return out
}

// limitNotice is what a runner's log buffer adds when it takes no more: below
// the timestamps, so without one, and always the last thing (section 7).
var limitNotice = regexp.MustCompile(`^(?:|\x1b\[33;1mJob's log exceeded limit of \d+ bytes\.|Job execution will continue but no more output will be collected\.\x1b\[0;m)$`)

// stamps checks the timestamped lines of a log.
type stamps struct {
	lines  []rawLine
	errs   []string
	lastOf map[string]int // the line of each stream
}

func joinStreams(physical []string) (lines []rawLine, stamped bool, errs []string) {
	s := &stamps{lastOf: map[string]int{}}
	const noticeLines = 2
	for i, l := range physical {
		m := stampForm.FindStringSubmatch(l)
		if m != nil {
			s.line(m, l)
			continue
		}
		if i < len(physical)-noticeLines-1 || !limitNotice.MatchString(l) {
			s.fail("line without timestamp in a timestamped log: " + clip(l))
		}
		s.lines = append(s.lines, rawLine{text: l})
	}
	return s.lines, true, s.errs
}

func (s *stamps) fail(what string) { s.errs = append(s.errs, what) }

func (s *stamps) line(m []string, l string) {
	at, err := time.Parse(time.RFC3339Nano, m[1])
	if err != nil {
		s.fail("bad timestamp: " + m[1])
	}
	if m[2] == "00" && m[3] == "E" {
		s.fail("the runner itself has no error stream: " + clip(l))
	}
	if number, _ := strconv.ParseInt(m[2], 16, 0); number > 1 && number < firstService {
		s.fail("no stream has the number " + m[2])
	}
	stream, rest := m[2]+m[3], l[stampLength:]
	i, known := s.lastOf[stream]
	switch {
	case m[4] == "+" && !known:
		s.fail("continuation of a stream without a line: " + clip(l))
	case known && at.Before(s.lines[i].last):
		s.fail("the time of a stream goes backwards: " + clip(l))
	}
	if m[4] == "+" && known {
		s.lines[i].text += rest
		s.lines[i].last = at
		return
	}
	s.lastOf[stream] = len(s.lines)
	s.lines = append(s.lines, rawLine{text: rest, at: at, last: at, stream: stream})
}

func clip(s string) string {
	const most = 80
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}

var (
	escapes    = regexp.MustCompile(`\x1b(?:\[[0-?]*[ -/]*[@-~]|[@-Z\\^_])`)
	otherThanM = regexp.MustCompile(`\x1b(?:\[[0-?]*[ -/]*[@-ln-~]|[@-Z\\^_])`)
	eraseLine  = regexp.MustCompile(`\x1b\[[02]?K`)
)

// settle applies carriage returns: what follows one replaces the line, and a
// lone one at the end changes nothing.
func settle(text string) string {
	parts := strings.Split(text, "\r")
	out := parts[0]
	for _, p := range parts[1:] {
		if p == "" {
			continue
		}
		if escapes.ReplaceAllString(p, "") == "" && !eraseLine.MatchString(p) {
			out += p
			continue
		}
		out = p
	}
	return out
}
