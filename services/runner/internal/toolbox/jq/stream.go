package jq

import (
	"encoding/json"
	"errors"
	"io"
	"slices"
)

// streamed yields the events of --stream: [path, leaf] for each leaf and [path]
// at the end of each array and object.
func (in *inputs) streamed(dec *json.Decoder) func() (any, error) {
	var events []any
	return func() (any, error) {
		for len(events) == 0 {
			s := &streamer{dec: dec}
			err := s.value(nil, true)
			in.lines.passed(dec.InputOffset())
			if err != nil && errors.Is(err, io.EOF) && len(s.events) > 0 {
				err = io.ErrUnexpectedEOF
			}
			if err != nil {
				return nil, in.explain(err)
			}
			events = s.events
		}
		v := events[0]
		events = events[1:]
		return v, nil
	}
}

// streamer takes one value of the input apart.
type streamer struct {
	dec    *json.Decoder
	events []any
}

// value reads one value, whose place is path.
func (s *streamer) value(path []any, top bool) error {
	token, err := s.dec.Token()
	if err != nil {
		if !top && errors.Is(err, io.EOF) {
			return io.ErrUnexpectedEOF
		}
		return err
	}
	delim, ok := token.(json.Delim)
	if !ok {
		s.leaf(path, token)
		return nil
	}
	last, err := s.members(path, delim == '{')
	if err != nil {
		return err
	}
	if _, err := s.dec.Token(); err != nil { // the closing bracket
		return io.ErrUnexpectedEOF
	}
	switch {
	case last == nil && delim == '{':
		s.leaf(path, map[string]any{})
	case last == nil:
		s.leaf(path, []any{})
	default:
		s.events = append(s.events, []any{slices.Concat(path, []any{last})})
	}
	return nil
}

// members reads what is inside of an array or object and returns its last key.
func (s *streamer) members(path []any, object bool) (last any, err error) {
	for n := 0; s.dec.More(); n++ {
		last = n
		if object {
			if last, err = s.dec.Token(); err != nil {
				return nil, err
			}
		}
		if err := s.value(slices.Concat(path, []any{last}), false); err != nil {
			return nil, err
		}
	}
	return last, nil
}

func (s *streamer) leaf(path []any, v any) {
	s.events = append(s.events, []any{slices.Concat([]any{}, path), v})
}
