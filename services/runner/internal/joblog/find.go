package joblog

import (
	"bytes"
	"slices"
)

// needle is something the masker looks for.
type needle struct {
	text []byte
	fold bool            // compare without regard to case; text is lower case
	run  func(byte) bool // keep text, and mask the run of such bytes after it
}

func (n *needle) equal(data []byte) bool {
	if n.fold {
		return bytes.EqualFold(data, n.text[:len(data)])
	}
	return bytes.Equal(data, n.text[:len(data)])
}

// needles is what is looked for; once sorted it is only read.
type needles struct {
	byFirst [256][]needle // longest first
	first   [256]bool
}

// finder replaces needles in one stream.
type finder struct {
	*needles
	held  []byte // the start of what may become a match
	run   func(byte) bool
	begun bool // the run has had a byte: masked is written
	out   []byte
}

func (s *needles) add(n needle) {
	c := n.text[0]
	s.byFirst[c], s.first[c] = append(s.byFirst[c], n), true
}

func (s *needles) sort() {
	for i := range s.byFirst {
		slices.SortStableFunc(s.byFirst[i], func(a, b needle) int { return len(b.text) - len(a.text) })
	}
}

// write returns what of the stream can be shown after p; last says that nothing
// follows.
func (f *finder) write(p []byte, last bool) []byte {
	if len(f.held) == 0 && f.run == nil && f.next(p, 0) == len(p) {
		return p // as most output: nothing in it could even begin a match
	}
	data := p
	if len(f.held) > 0 {
		data = append(f.held, p...)
	}
	f.out = f.out[:0]
	rest := f.scan(data, last)
	f.held = append(f.held[:0:0], rest...) // data may lie in held
	if last {
		f.run = nil
	}
	return f.out
}

// next is where the next needle could begin.
func (f *finder) next(data []byte, i int) int {
	for i < len(data) && !f.first[data[i]] {
		i++
	}
	return i
}

// scan puts what can be shown into out and returns what must wait for more.
func (f *finder) scan(data []byte, last bool) []byte {
	for i := 0; i < len(data); {
		if f.run != nil {
			i = f.skip(data, i)
			continue
		}
		j := f.next(data, i)
		f.out = append(f.out, data[i:j]...)
		if i = j; i == len(data) {
			break
		}
		n, partial := f.match(data[i:], last)
		switch {
		case partial:
			return data[i:]
		case n == nil:
			f.out = append(f.out, data[i])
			i++
		case n.run != nil:
			f.out = append(f.out, n.text...)
			copy(f.out[len(f.out)-len(n.text):], data[i:]) // in the case in which it was written
			f.run, f.begun = n.run, false
			i += len(n.text)
		default:
			f.out = append(f.out, masked...)
			i += len(n.text)
		}
	}
	return nil
}

// skip masks what follows a needle with a run, and returns where that ends.
func (f *finder) skip(data []byte, i int) int {
	start := i
	for i < len(data) && f.run(data[i]) {
		i++
	}
	if i > start && !f.begun {
		f.out, f.begun = append(f.out, masked...), true
	}
	if i < len(data) {
		f.run = nil
	}
	return i
}

// match finds the longest needle at the start of data; partial says that a
// longer one may still come to match, unless these are the last bytes.
func (f *finder) match(data []byte, last bool) (found *needle, partial bool) {
	candidates := f.byFirst[data[0]]
	for i := range candidates {
		n := &candidates[i]
		have := min(len(n.text), len(data))
		if have < len(n.text) && last || !n.equal(data[:have]) {
			continue
		}
		return n, have < len(n.text)
	}
	return nil, false
}
