package job

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Line endings and colours of GitLab's runner (runner-api sheet, section 16).
const (
	ansiReset  = "\x1b[0;m"
	ansiClear  = "\x1b[0K"
	ansiCyan   = "\x1b[36;1m"
	ansiGreen  = "\x1b[32;1m"
	ansiYellow = "\x1b[0;33m"
	ansiRed    = "\x1b[31;1m"
)

// logger writes the runner's own lines.
type logger struct {
	w        io.Writer
	sections bool // GitLab understands section markers
	now      func() time.Time
}

// plain removes what would let a value forge a line of the log.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}

func (l *logger) line(colour, text string) { _, _ = io.WriteString(l.w, colour+text+ansiReset+"\n") }

// println writes an uncoloured line.
func (l *logger) println(text string) { l.line(ansiClear, text) }

// info writes a green line; stage scripts of GitLab's runner write their
// notices the same way.
func (l *logger) info(text string) { l.line(ansiGreen, text) }

func (l *logger) warn(text string) { l.line(ansiYellow, "WARNING: "+text) }

func (l *logger) error(text string) { l.line(ansiRed, "ERROR: "+text) }

// raw writes a line as a stage's script would echo it.
func (l *logger) raw(text string) { _, _ = io.WriteString(l.w, text+"\n") }

// section runs fn inside a section of the log whose first line is header.
func (l *logger) section(name, header string, fn func() error) error {
	head := ansiClear + ansiCyan + header + ansiReset + ansiReset + "\n"
	if l.sections {
		head = fmt.Sprintf("section_start:%d:%s\r%s", l.now().Unix(), name, ansiClear) + head
	}
	_, _ = io.WriteString(l.w, head)
	if l.sections {
		defer func() {
			fmt.Fprintf(l.w, "section_end:%d:%s\r%s", l.now().Unix(), name, ansiClear)
		}()
	}
	return fn()
}

// Notice, Warn and Raw are what the sources' stage writes with.
func (l *logger) Notice(text string) { l.info(text) }

func (l *logger) Warn(text string) { l.warn(text) }

func (l *logger) Raw(text string) { l.raw(text) }
