package jq

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// stdinName is how messages call standard input.
const stdinName = "<stdin>"

// parseError is input that is not JSON.
type parseError struct {
	err          error
	line, column int
}

func (e *parseError) Error() string {
	return fmt.Sprintf("%v at line %d, column %d", e.err, e.line, e.column)
}

// inputs are the values that a filter is applied to. It implements gojq.Iter
// and is used by one goroutine.
type inputs struct {
	opts *options
	inv  tool.Invocation

	files   []string
	current io.Closer
	name    string // of the file being read
	next    func() (any, error)
	lines   *lineCounter
	started bool
	slurped bool
	broken  int // files that could not be opened
}

func newInputs(inv tool.Invocation, opts *options) *inputs {
	return &inputs{opts: opts, inv: inv, files: opts.files}
}

// Next implements gojq.Iter. An error ends the input.
func (in *inputs) Next() (any, bool) {
	if !in.opts.slurp {
		return in.value()
	}
	if in.slurped {
		return nil, false
	}
	in.slurped = true
	all, text := []any{}, strings.Builder{}
	for {
		v, ok := in.value()
		if !ok {
			break
		}
		if err, failed := v.(error); failed {
			return err, true
		}
		if s, isText := v.(string); isText && in.opts.rawInput {
			text.WriteString(s)
			continue
		}
		all = append(all, v)
	}
	if in.opts.rawInput {
		return text.String(), true
	}
	return all, true
}

// value is the next value of any file.
func (in *inputs) value() (any, bool) {
	for {
		if in.next == nil && !in.open() {
			return nil, false
		}
		v, err := in.next()
		switch {
		case err == nil:
			return v, true
		case errors.Is(err, io.EOF):
			in.close()
		default:
			in.close()
			in.files = nil
			return err, true
		}
	}
}

// open starts with the next file, or with standard input where none is named.
func (in *inputs) open() bool {
	if !in.started && len(in.opts.files) == 0 {
		in.started = true
		in.name = stdinName
		in.read(in.inv.Stdin)
		return true
	}
	in.started = true
	for len(in.files) > 0 {
		name := in.files[0]
		in.files = in.files[1:]
		f, err := os.Open(in.inv.Path(name))
		if err != nil {
			in.broken++
			fmt.Fprintf(in.inv.Stderr, "jq: error: Could not open %s: %s\n", name, tool.Reason(err))
			continue
		}
		in.current, in.name = f, name
		in.read(f)
		return true
	}
	return false
}

func (in *inputs) close() {
	if in.current != nil {
		_ = in.current.Close()
	}
	in.current, in.next = nil, nil
}

func (in *inputs) read(r io.Reader) {
	buffered := bufio.NewReader(r)
	if mark, err := buffered.Peek(3); err == nil && string(mark) == "\ufeff" {
		_, _ = buffered.Discard(len(mark))
	}
	in.lines = &lineCounter{r: buffered, seq: in.opts.seq}
	switch {
	case in.opts.rawInput:
		in.next = rawLines(bufio.NewReader(in.lines), in.opts.slurp)
	case in.opts.stream:
		in.next = in.streamed(newDecoder(in.lines))
	default:
		dec := newDecoder(in.lines)
		in.next = func() (any, error) {
			var v any
			err := dec.Decode(&v)
			in.lines.passed(dec.InputOffset())
			return v, in.explain(err)
		}
	}
}

func newDecoder(r io.Reader) *json.Decoder {
	dec := json.NewDecoder(r)
	dec.UseNumber()
	return dec
}

// errUnfinished is in jq's words.
var errUnfinished = errors.New("Unfinished JSON term at EOF") //nolint:staticcheck // ST1005: jq begins with a capital

// explain turns what the decoder says into jq's words.
func (in *inputs) explain(err error) error {
	var syntax *json.SyntaxError
	switch {
	case err == nil || errors.Is(err, io.EOF):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return &parseError{errUnfinished, in.lines.total + 1, 0}
	case errors.As(err, &syntax):
		line, column := in.lines.position(syntax.Offset)
		return &parseError{syntax, line, column}
	}
	return err
}

// location is where the input stands, for messages.
func (in *inputs) location() string {
	if in.lines == nil {
		return "<unknown>"
	}
	return fmt.Sprintf("%s:%d", in.name, in.lines.line)
}

// rawLines are the lines without their ends, or with them when they are to be
// put together again.
func rawLines(r *bufio.Reader, keepEnd bool) func() (any, error) {
	return func() (any, error) {
		line, err := r.ReadString('\n')
		if line == "" {
			return nil, err
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		line = strings.ToValidUTF8(line, "\ufffd")
		if keepEnd {
			return line, nil
		}
		return strings.TrimSuffix(line, "\n"), nil
	}
}

// lineCounter notes where lines end, since jq's messages name the line that has
// been read.
type lineCounter struct {
	r       io.Reader
	seq     bool
	read    int64   // bytes
	ends    []int64 // offsets of line feeds not passed yet
	line    int     // the line that holds the end of the last value
	before  int     // line feeds passed
	lastEnd int64
	total   int
}

func (l *lineCounter) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	for i, c := range p[:n] {
		switch {
		case c == '\n':
			l.ends = append(l.ends, l.read+int64(i))
			l.total++
		case c == '\x1e' && l.seq:
			p[i] = ' '
		}
	}
	l.read += int64(n)
	return n, err
}

// passed says up to where values have been taken.
func (l *lineCounter) passed(offset int64) {
	for len(l.ends) > 0 && l.ends[0] < offset {
		l.before++
		l.lastEnd = l.ends[0] + 1
		l.ends = l.ends[1:]
	}
	l.line = l.before
	if len(l.ends) > 0 {
		l.line++
	}
}

func (l *lineCounter) position(offset int64) (line, column int) {
	l.passed(offset)
	return l.before + 1, int(offset - l.lastEnd)
}
