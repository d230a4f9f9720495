package job

import (
	"fmt"
	"io"
	"time"

	"github.com/towline/towline/pkg/joblines"
)

// Colour and ending of a command in the log (runner-api sheet, section 11).
const (
	ansiReset = "\x1b[0;m"
	ansiGreen = "\x1b[32;1m"
)

// logger writes the runner's own lines.
type logger struct {
	w        io.Writer
	sections bool // GitLab understands section markers
	now      func() time.Time
}

// plain removes what would let a value forge a line of the log.
func plain(s string) string { return joblines.Plain(s) }

// println writes an uncoloured line.
func (l *logger) println(text string) { l.write(joblines.Text(text)) }

// info writes a green line; stage scripts of GitLab's runner write their
// notices the same way.
func (l *logger) info(text string) { l.write(joblines.Info(text)) }

func (l *logger) warn(text string) { l.write(joblines.Warning(text)) }

func (l *logger) error(text string) { l.write(joblines.Error(text)) }

// failed writes the last line of a failed job's log.
func (l *logger) failed(k joblines.Kind, why string) { l.write(joblines.Failed(k, why)) }

// raw writes a line as a stage's script would echo it.
func (l *logger) raw(text string) { l.write(text + "\n") }

func (l *logger) write(s string) { _, _ = io.WriteString(l.w, s) }

// section runs fn inside a section of the log whose first line is header.
func (l *logger) section(name, header string, fn func() error) error {
	if l.sections {
		// A write of its own, so that it is a line of its own where lines carry
		// timestamps (section 16.1).
		l.write(fmt.Sprintf("section_start:%d:%s\r\x1b[0K", l.now().Unix(), name))
		defer func() {
			l.write(fmt.Sprintf("section_end:%d:%s\r\x1b[0K", l.now().Unix(), name))
		}()
	}
	l.write(joblines.Header(header))
	return fn()
}

// Notice, Warn, Raw and Error are what the stages around the script write with.
func (l *logger) Notice(text string) { l.info(text) }

func (l *logger) Warn(text string) { l.warn(text) }

func (l *logger) Raw(text string) { l.raw(text) }

func (l *logger) Error(text string) { l.error(text) }
