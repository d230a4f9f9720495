package joblog

import (
	"regexp"
	"strings"
	"time"
)

// stampForm is the 32-byte header of a timestamped line: time, stream id,
// O or E, and a space or + (protocol sheet 16.1).
var stampForm = regexp.MustCompile(`^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z) ([0-9a-f]{2})([OE])([ +])`)

const stampLength = 32

// rawLine is one logical line: continuations of its stream joined.
type rawLine struct {
	text   string
	at     time.Time
	stream string // "00O", empty without timestamps
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
			lines = append(lines, rawLine{text: l})
		}
		return lines, false, nil
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

func joinStreams(physical []string) (lines []rawLine, stamped bool, errs []string) {
	lastOf := map[string]int{}
	for _, l := range physical {
		m := stampForm.FindStringSubmatch(l)
		if m == nil {
			errs = append(errs, "line without timestamp in a timestamped log: "+clip(l))
			lines = append(lines, rawLine{text: l})
			continue
		}
		at, err := time.Parse(time.RFC3339Nano, m[1])
		if err != nil {
			errs = append(errs, "bad timestamp: "+m[1])
		}
		stream, rest := m[2]+m[3], l[stampLength:]
		if i, ok := lastOf[stream]; m[4] == "+" && ok {
			lines[i].text += rest
			continue
		} else if m[4] == "+" {
			errs = append(errs, "continuation of a stream without a line: "+clip(l))
		}
		lastOf[stream] = len(lines)
		lines = append(lines, rawLine{text: rest, at: at, stream: stream})
	}
	return lines, true, errs
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
