package joblog

import (
	"slices"
	"time"
	"unicode/utf8"

	"github.com/towline/towline/pkg/joblines"
)

// stream is one writer's way into the log: values masked, then addresses and
// token prefixes, broken UTF-8 replaced, and the lines given their timestamps
// (runner-api sheet, section 17).
type stream struct {
	mask   *masker
	torn   []byte           // the start of a UTF-8 sequence
	stamps *joblines.Stamps // nil: without timestamps
	out    []byte
}

func newStream(hidden secrets, name joblines.Stream, timestamps bool) *stream {
	s := &stream{mask: hidden.masker()}
	if timestamps {
		s.stamps = joblines.NewStamps(name, time.Now)
	}
	return s
}

// write returns what can be logged so far; it is valid until the next call.
func (s *stream) write(p []byte) []byte {
	p = s.repair(s.mask.write(p), false)
	if s.stamps == nil {
		return p
	}
	s.out = s.stamps.Append(s.out[:0], p)
	return s.out
}

// end returns what was held back; the stream can be used on.
func (s *stream) end() []byte {
	p := s.repair(s.mask.flush(), true)
	if s.stamps == nil {
		return p
	}
	s.out = s.stamps.Close(s.stamps.Append(s.out[:0], p))
	return s.out
}

// repair replaces what is not UTF-8, and keeps back a sequence that is cut in
// two unless it is the last.
func (s *stream) repair(p []byte, last bool) []byte {
	if len(s.torn) == 0 && utf8.Valid(p) {
		return p
	}
	p = append(s.torn, p...)
	s.torn = nil
	out := make([]byte, 0, len(p)+utf8.UTFMax)
	good := 0 // p[good:i] is valid and not yet in out
	for i := 0; i < len(p); {
		if p[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, n := utf8.DecodeRune(p[i:])
		if r != utf8.RuneError || n > 1 {
			i += n
			continue
		}
		out = append(out, p[good:i]...)
		if !last && !utf8.FullRune(p[i:]) {
			s.torn = slices.Clone(p[i:])
			return out
		}
		out = utf8.AppendRune(out, utf8.RuneError)
		i++
		good = i
	}
	return append(out, p[good:]...)
}
