package joblines

import (
	"bytes"
	"strconv"
	"time"

	"github.com/towline/towline/pkg/jobspec"
)

// Stream names who wrote a line: two hex digits, and O or E for output or error
// (runner-api sheet, section 16.1).
type Stream string

// Streams of a job.
const (
	Runner Stream = "00O" // the runner's own lines
	Output Stream = "01O" // the script's standard output
	Errors Stream = "01E" // the script's standard error
)

const (
	stampForm = "2006-01-02T15:04:05.000000Z "
	// maxWaiting is how much of an unfinished line waits for its rest, in bytes.
	maxWaiting = 8 << 10
)

// Timestamped says whether the lines of a job's log carry timestamps. It depends
// on nothing but the payload, so that all who write to one log agree.
func Timestamped(j *jobspec.Job) bool {
	on, err := strconv.ParseBool(j.Variables.Get("FF_TIMESTAMPS"))
	return on || err != nil
}

// Stamps puts a header of 32 bytes in front of each line of one stream: time,
// stream, and whether the line continues the stream's last one. What it writes
// always ends with a line feed. It is not safe for concurrent use.
type Stamps struct {
	stream    Stream
	now       func() time.Time
	waiting   []byte // header and beginning of a line without its end
	continues bool   // the next line continues the last one
}

// NewStamps returns the Stamps of a stream.
func NewStamps(s Stream, now func() time.Time) *Stamps { return &Stamps{stream: s, now: now} }

// Append adds p to dst with what belongs in front of its lines. The beginning of
// a line waits for its end; but a piece with a carriage return and without a
// line feed after it, such as a progress bar, goes out at once, and so does a
// long one.
func (s *Stamps) Append(dst, p []byte) []byte {
	for {
		line, rest, ended := bytes.Cut(p, []byte{'\n'})
		if !ended {
			break
		}
		dst = append(s.begin(dst), line...)
		dst = append(dst, '\n')
		p = rest
	}
	switch {
	case len(p) == 0:
		return dst
	case bytes.IndexByte(p, '\r') < 0 && len(s.waiting)+len(p) <= maxWaiting:
		if len(s.waiting) == 0 {
			s.waiting = s.header(s.waiting)
		}
		s.waiting = append(s.waiting, p...)
		return dst
	}
	dst = append(s.begin(dst), p...)
	s.continues = true
	return append(dst, '\n')
}

// Close adds what waits to dst, and ends its line. The Stamps can be used on.
func (s *Stamps) Close(dst []byte) []byte {
	if len(s.waiting) == 0 {
		return dst
	}
	return append(s.begin(dst), '\n')
}

// begin adds what waits, or else the header of a new line.
func (s *Stamps) begin(dst []byte) []byte {
	if len(s.waiting) == 0 {
		return s.header(dst)
	}
	dst = append(dst, s.waiting...)
	s.waiting = s.waiting[:0]
	return dst
}

func (s *Stamps) header(dst []byte) []byte {
	dst = append(s.now().UTC().AppendFormat(dst, stampForm), s.stream...)
	flag := byte(' ')
	if s.continues {
		flag = '+'
	}
	s.continues = false
	return append(dst, flag)
}

// Stamp gives whole lines of the runner's own the form that the job's log has.
func Stamp(j *jobspec.Job, now time.Time, lines string) []byte {
	if !Timestamped(j) {
		return []byte(lines)
	}
	s := NewStamps(Runner, func() time.Time { return now })
	return s.Close(s.Append(nil, []byte(lines)))
}
