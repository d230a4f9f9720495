// Package linestest takes the timestamps off a job's log, so that tests can say
// what the log reads like. It is for tests only.
package linestest

import (
	"regexp"
	"strings"
)

var header = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z 0[01][OE]([ +])`)

// Bare is a log without the headers of its lines, and with continued lines put
// together again. Lines without a header stay.
func Bare(log string) string {
	var b strings.Builder
	for line := range strings.Lines(log) {
		m := header.FindStringSubmatch(line)
		if m == nil {
			b.WriteString(line)
			continue
		}
		if text := b.String(); m[1] == "+" {
			b.Reset()
			b.WriteString(strings.TrimSuffix(text, "\n"))
		}
		b.WriteString(line[len(m[0]):])
	}
	return b.String()
}
