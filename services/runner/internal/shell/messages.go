package shell

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"regexp"
	"strconv"

	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// messages is the standard error of a shell as the interpreter sees it: what it
// says there itself, a line at a time, gets the beginning that bash gives it.
// Commands write to what is below.
type messages struct {
	io.Writer
	session *session
}

// said are the messages of the interpreter that say what they are about and not
// where that is.
var said = regexp.MustCompile(`\A(?:([A-Za-z_][A-Za-z0-9_]*|[0-9@*#]): (.*)|(?:cd|pushd|popd|break|continue|exit|return|shift|unset|export|declare|local|alias|unalias|getopts|eval|source|exec|set|shopt|read): .*)\n\z`)

const longestMessage = 4 << 10 // bytes

func (m *messages) Write(p []byte) (int, error) {
	if len(p) > longestMessage || !bytes.HasSuffix(p, []byte("\n")) {
		return m.Writer.Write(p)
	}
	if p[0] == '+' && bytes.Contains(p, []byte(ourPrefix)) {
		return len(p), nil // what set -x would show of this package
	}
	s := m.session
	line := uint(s.at.Load())
	text, ours := s.reader.named(p)
	if n, _, _ := bytes.Cut(bytes.TrimPrefix(p, []byte(lineOfVariable)), []byte(":")); ours && len(n) < len(p) {
		if at, err := strconv.ParseUint(string(n), 10, 32); err == nil {
			line = uint(at)
		}
	}
	match := said.FindSubmatch(p)
	if match == nil && !ours {
		return m.Writer.Write(p)
	}
	if name := nameIn(match); name != "" && !ours {
		switch said := string(match[2]); {
		case said == "unbound variable" || s.reader.requires(name):
			line = s.reader.used(name, line)
		case said != "readonly variable" && said != "bad array subscript" && said != "invalid indirect expansion" && !interp.IsBuiltin(name):
			return m.Writer.Write(p)
		}
	}
	if _, err := fmt.Fprintf(m.Writer, "%s: line %d: %s", s.script.place, s.reader.line(line), text); err != nil {
		return 0, err
	}
	return len(p), nil
}

// handler is the context of a handler. Its streams are those of commands.
func (s *session) handler(ctx context.Context) interp.HandlerContext {
	hc := interp.HandlerCtx(ctx)
	if m, ok := hc.Stdout.(*messages); ok {
		hc.Stdout = m.Writer
	}
	if m, ok := hc.Stderr.(*messages); ok {
		hc.Stderr = m.Writer
	}
	return hc
}

const maxUses = 1000 // lines that are remembered for one variable

// use remembers where a variable is used in the script itself: what it sources
// and evaluates has other lines.
func (r *reader) use(p *syntax.ParamExp) {
	if p.Param == nil {
		return
	}
	name := p.Param.Value
	if lines := r.uses[name]; len(lines) < maxUses {
		r.uses[name] = append(lines, p.Pos().Line())
	}
	if p.Exp != nil && (p.Exp.Op == syntax.ErrorUnset || p.Exp.Op == syntax.ErrorUnsetOrNull) {
		r.required[name] = true
	}
}

func nameIn(match [][]byte) string {
	if match == nil {
		return ""
	}
	return string(match[1])
}

// named puts what the script calls a variable in the place of the one that stands
// for it, if there is one.
func (r *reader) named(message []byte) (text []byte, ours bool) {
	name, rest, ok := bytes.Cut(message, []byte(": "))
	if !ok || !bytes.HasPrefix(name, []byte(ourPrefix)) {
		return message, false
	}
	if bytes.HasPrefix(name, []byte(knownVariable)) {
		return rest, true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	shown := r.shown[string(name)]
	return append([]byte(shown+": "), rest...), shown != ""
}

func (r *reader) requires(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.required[name]
}

// used is the line where a variable is used that was not set: the first one from
// the last command on, or the last one before it. The interpreter does not tell.
func (r *reader) used(name string, after uint) uint {
	r.mu.Lock()
	defer r.mu.Unlock()
	line := after
	for i, at := range r.uses[name] {
		if at >= after {
			return at
		}
		if i == 0 || at > line {
			line = at
		}
	}
	return line
}
