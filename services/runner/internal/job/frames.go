package job

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
)

// MaxFrame is the largest content of one frame, in bytes.
const MaxFrame = 64 << 10

// frameHead is the size of a frame's kind and length.
const frameHead = 5

// Kind says what a frame holds.
type Kind byte

// Kinds of frames. Log bytes may be cut anywhere between two frames.
const (
	KindRunner Kind = 'r' // log bytes: the runner's own lines
	KindStdout Kind = 'o' // log bytes: the script's standard output
	KindStderr Kind = 'e' // log bytes: the script's standard error
	KindEvent  Kind = 'j' // an Event as JSON
)

// Frame is one piece of what a job process says.
type Frame struct {
	Kind Kind
	Data []byte
}

// Event decodes the content of a frame of KindEvent.
func (f Frame) Event() (Event, error) {
	var e Event
	if f.Kind != KindEvent {
		return e, fmt.Errorf("frame of kind %q is no event", byte(f.Kind))
	}
	if err := json.Unmarshal(f.Data, &e); err != nil {
		return Event{}, fmt.Errorf("event of job process: %w", err)
	}
	switch {
	case e.Type == EventScriptStarted:
		return Event{Type: e.Type}, nil
	case e.Type == EventQuestion && e.Question != nil && e.Question.Check() == nil:
		return Event{Type: e.Type, Number: e.Number, Question: e.Question}, nil
	case e.Type == EventResult && e.Result != nil && (e.Result.State == StateSuccess || e.Result.State == StateFailed):
		return e, nil
	}
	return Event{}, errors.New("event of job process is of no known form")
}

// ErrBadFrame says that a job process wrote something that is no frame. What
// follows cannot be read any more.
var ErrBadFrame = errors.New("job process wrote a malformed frame")

// FrameReader reads frames. It trusts nothing it reads: a job's script runs in
// the process that writes them.
type FrameReader struct {
	r   io.Reader
	buf []byte
	err error
}

// NewFrameReader reads frames from r, the read end of a job's descriptor 3.
func NewFrameReader(r io.Reader) *FrameReader { return &FrameReader{r: r} }

// Next returns the next frame, whose Data is valid until the following call.
// It returns io.EOF at the end, io.ErrUnexpectedEOF when the process died
// inside a frame, and an error that wraps ErrBadFrame for anything else. Every
// error is final.
func (f *FrameReader) Next() (Frame, error) {
	if f.err != nil {
		return Frame{}, f.err
	}
	frame, err := f.next()
	f.err = err
	return frame, err
}

func (f *FrameReader) next() (Frame, error) {
	var head [frameHead]byte
	if _, err := io.ReadFull(f.r, head[:]); err != nil {
		return Frame{}, err
	}
	kind, size := Kind(head[0]), binary.BigEndian.Uint32(head[1:])
	switch kind {
	case KindRunner, KindStdout, KindStderr, KindEvent:
	default:
		return Frame{}, fmt.Errorf("%w: kind %d", ErrBadFrame, head[0])
	}
	if size > MaxFrame {
		return Frame{}, fmt.Errorf("%w: %d bytes", ErrBadFrame, size)
	}
	if cap(f.buf) < int(size) {
		f.buf = make([]byte, MaxFrame)
	}
	data := f.buf[:size]
	if _, err := io.ReadFull(f.r, data); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return Frame{}, err
	}
	return Frame{Kind: kind, Data: data}, nil
}

// ReadFrames hands every frame to fn until the stream ends, which is no error,
// or until fn or the stream fails.
func ReadFrames(r io.Reader, fn func(Frame) error) error {
	fr := NewFrameReader(r)
	for {
		frame, err := fr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := fn(frame); err != nil {
			return err
		}
	}
}

// frameWriter writes frames, whole and one after the other, from any number of
// goroutines.
type frameWriter struct {
	mu        sync.Mutex
	w         io.Writer
	buf       []byte
	libraries *libraryPipe // what they wrote comes first; nil without
}

func newFrameWriter(w io.Writer) *frameWriter {
	return &frameWriter{w: w, buf: make([]byte, 0, frameHead+MaxFrame)}
}

func (f *frameWriter) write(kind Kind, data []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.takeLibraries(); err != nil {
		return 0, err
	}
	return f.put(kind, data)
}

// takeLibraries writes what libraries have written meanwhile.
func (f *frameWriter) takeLibraries() error {
	if f.libraries == nil {
		return nil
	}
	for data := f.libraries.next(); data != nil; data = f.libraries.next() {
		if _, err := f.put(KindStderr, data); err != nil {
			return err
		}
	}
	return nil
}

// put writes data in frames.
func (f *frameWriter) put(kind Kind, data []byte) (int, error) {
	done := 0
	for done < len(data) {
		part := data[done:min(len(data), done+MaxFrame)]
		f.buf = append(f.buf[:0], byte(kind))
		f.buf = binary.BigEndian.AppendUint32(f.buf, uint32(len(part)))
		f.buf = append(f.buf, part...)
		if _, err := f.w.Write(f.buf); err != nil {
			return done, err
		}
		done += len(part)
	}
	return done, nil
}

func (f *frameWriter) event(e Event) error {
	body, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if len(body) > MaxFrame {
		return fmt.Errorf("event of %d bytes is larger than %d", len(body), MaxFrame)
	}
	_, err = f.write(KindEvent, body)
	return err
}

// stream is the log of one kind.
func (f *frameWriter) stream(kind Kind) io.Writer { return frameStream{f, kind} }

type frameStream struct {
	frames *frameWriter
	kind   Kind
}

func (s frameStream) Write(p []byte) (int, error) { return s.frames.write(s.kind, p) }

// gate passes writes through until it is closed and swallows them afterwards:
// a command that outlives its cancelled script must not write into the log of
// a later stage.
type gate struct {
	mu     sync.Mutex
	w      io.Writer
	closed bool
}

func (g *gate) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return len(p), nil
	}
	return g.w.Write(p)
}

func (g *gate) close() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
}
