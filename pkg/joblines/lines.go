package joblines

import "strings"

// Colours and endings of a runner's own lines (runner-api sheet, section 16).
const (
	reset  = "\x1b[0;m"
	clear  = "\x1b[0K"
	cyan   = "\x1b[36;1m"
	green  = "\x1b[32;1m"
	yellow = "\x1b[0;33m"
	red    = "\x1b[31;1m"
)

// Text is an uncoloured line.
func Text(s string) string { return clear + s + reset + "\n" }

// Info is a green line.
func Info(s string) string { return green + s + reset + "\n" }

// Warning is a yellow line.
func Warning(s string) string { return yellow + "WARNING: " + s + reset + "\n" }

// Error is a red line.
func Error(s string) string { return red + "ERROR: " + s + reset + "\n" }

// Header is the first line of a section.
func Header(s string) string { return clear + cyan + s + reset + reset + "\n" }

// Kind says whose fault a failed job is, in its last line.
type Kind string

// Kinds of failures.
const (
	Job    Kind = ""                  // the job's own
	System Kind = " (system failure)" // the runner's or its surroundings'
)

// Failed is the last line of a failed job's log.
func Failed(k Kind, why string) string { return Error("Job failed" + string(k) + ": " + why) }

// Plain removes what would let a value forge a line of the log.
func Plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}
