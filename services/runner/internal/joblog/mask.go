package joblog

import (
	"bytes"
	"slices"
	"strings"
)

// masked replaces what must not be read.
const masked = "[MASKED]"

// Limits on what is masked.
const (
	maxPhrases  = 20_000
	maxPrefixes = 15 // as GitLab's runner (runner-api sheet, section 17)
	minLine     = 8  // shortest line of a multi-line secret that is masked alone
)

// defaultPrefixes are the token prefixes that GitLab's runner knows.
var defaultPrefixes = []string{
	"glpat-", "gloas-", "gldt-", "glrt-", "glcbt-", "glrtr-", "glptt-", "glft-",
	"glimt-", "glagent-", "glsoat-", "glffct-", "_gitlab_session=", "gltok-",
}

// urlParameters are hidden in addresses.
var urlParameters = []string{
	"private_token", "authenticity_token", "rss_token",
	"x-amz-signature", "x-amz-credential", "x-amz-security-token",
}

// needle is something the masker looks for.
type needle struct {
	text []byte
	fold bool            // compare without regard to case; text is lower case
	run  func(byte) bool // keep text, and mask the run of such bytes after it
}

// masker hides secrets in a stream, also where a secret arrives in pieces. It
// is not safe for concurrent use.
type masker struct {
	byFirst [256][]needle // longest first
	held    []byte        // the start of what may become a match
	run     func(byte) bool
	begun   bool // the run has had a byte: masked is written
	out     []byte
}

func newMasker(phrases, prefixes []string) *masker {
	m := &masker{}
	for _, p := range wholePhrases(phrases) {
		m.add(needle{text: []byte(p)})
	}
	for _, p := range uniquePrefixes(prefixes) {
		m.add(needle{text: []byte(p), run: tokenByte})
	}
	for _, p := range urlParameters {
		m.add(needle{text: []byte("?" + p + "="), fold: true, run: parameterByte})
		m.add(needle{text: []byte("&" + p + "="), fold: true, run: parameterByte})
	}
	for i := range m.byFirst {
		slices.SortStableFunc(m.byFirst[i], func(a, b needle) int { return len(b.text) - len(a.text) })
	}
	return m
}

func (m *masker) add(n needle) { m.byFirst[n.text[0]] = append(m.byFirst[n.text[0]], n) }

// wholePhrases are the values and, of a value with several lines, each line
// that is long enough to be one.
func wholePhrases(values []string) []string {
	seen := map[string]bool{}
	var out []string
	add := func(s string) {
		if s = strings.TrimSpace(s); s != "" && !seen[s] && len(out) < maxPhrases {
			seen[s] = true
			out = append(out, s)
		}
	}
	for _, v := range values {
		add(v)
		if !strings.Contains(strings.TrimSpace(v), "\n") {
			continue
		}
		for line := range strings.Lines(v) {
			if len(strings.TrimSpace(line)) >= minLine {
				add(line)
			}
		}
	}
	return out
}

func uniquePrefixes(extra []string) []string {
	out := slices.Clone(defaultPrefixes)
	n := 0
	for _, p := range extra {
		if p = strings.TrimSpace(p); p != "" && !slices.Contains(out, p) && n < maxPrefixes {
			out, n = append(out, p), n+1
		}
	}
	return out
}

func tokenByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || strings.IndexByte("._=-", c) >= 0
}

func parameterByte(c byte) bool {
	return c > ' ' && strings.IndexByte("&\"'<>`#", c) < 0
}

// write masks p and returns what can be shown so far; the slice is valid until
// the next call.
func (m *masker) write(p []byte) []byte {
	m.out = m.out[:0]
	m.scan(append(m.held, p...), false)
	return m.out
}

// flush returns what was held back.
func (m *masker) flush() []byte {
	m.out = m.out[:0]
	m.scan(m.held, true)
	m.held = nil
	return m.out
}

func (m *masker) scan(data []byte, last bool) {
	i := 0
	for i < len(data) {
		if m.run != nil {
			if m.run(data[i]) {
				if !m.begun {
					m.out, m.begun = append(m.out, masked...), true
				}
				i++
				continue
			}
			m.run, m.begun = nil, false
		}
		width, n, partial := m.match(data[i:], last)
		switch {
		case partial:
			m.held = bytes.Clone(data[i:])
			return
		case width == 0:
			m.out = append(m.out, data[i])
			i++
		case n.run != nil:
			m.out = append(m.out, data[i:i+width]...)
			m.run = n.run
			i += width
		default:
			m.out = append(m.out, masked...)
			i += width
		}
	}
	m.held = nil
}

// match finds the longest needle at the start of data; partial says that a
// longer one may still come to match, unless these are the last bytes.
func (m *masker) match(data []byte, last bool) (width int, found needle, partial bool) {
	for _, n := range m.byFirst[data[0]] {
		have := min(len(n.text), len(data))
		if !n.equal(data[:have]) {
			continue
		}
		if have < len(n.text) {
			if last {
				continue
			}
			return 0, n, true
		}
		return have, n, false
	}
	return 0, needle{}, false
}

func (n needle) equal(data []byte) bool {
	if n.fold {
		return bytes.EqualFold(data, n.text[:len(data)])
	}
	return bytes.Equal(data, n.text[:len(data)])
}
