package joblog

import (
	"slices"
	"strings"
)

// masked replaces what must not be read.
const masked = "[MASKED]"

// Limits on what is masked.
const (
	maxLines    = 20_000 // of multi-line values; whole values are never left out
	maxPrefixes = 15     // as GitLab's runner (runner-api sheet, section 17)
	minLine     = 8      // shortest line of a multi-line secret that is masked alone
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

// secrets is what a job's log must not show. It is shared by its streams.
type secrets struct{ values, tokens *needles }

func newSecrets(phrases, prefixes []string) secrets {
	s := secrets{values: &needles{}, tokens: &needles{}}
	for _, p := range wholePhrases(phrases) {
		s.values.add(needle{text: []byte(p)})
	}
	for _, p := range uniquePrefixes(prefixes) {
		s.tokens.add(needle{text: []byte(p), run: tokenByte})
	}
	for _, p := range urlParameters {
		s.tokens.add(needle{text: []byte("?" + p + "="), fold: true, run: parameterByte})
		s.tokens.add(needle{text: []byte("&" + p + "="), fold: true, run: parameterByte})
	}
	s.values.sort()
	s.tokens.sort()
	return s
}

// masker hides secrets in a stream, also where a secret arrives in pieces. It
// looks for values first, and for addresses and tokens in what is left, as
// GitLab's runner does: a value that runs over the end of a token is then hidden
// whole. It is not safe for concurrent use.
type masker struct{ values, tokens *finder }

func (s secrets) masker() *masker {
	return &masker{values: &finder{needles: s.values}, tokens: &finder{needles: s.tokens}}
}

// write masks p and returns what can be shown so far. The slice is valid until
// the next call and may be p itself. What is held back is the shortest tail that
// may be the beginning of a secret.
func (m *masker) write(p []byte) []byte { return m.tokens.write(m.values.write(p, false), false) }

// flush returns what was held back.
func (m *masker) flush() []byte { return m.tokens.write(m.values.write(nil, true), true) }

// wholePhrases are the values and, of a value with several lines, each line
// that is long enough to be one.
func wholePhrases(values []string) []string {
	seen := map[string]bool{}
	var out []string
	add := func(s string) bool {
		s = strings.TrimSpace(s)
		if s == "" || seen[s] {
			return false
		}
		seen[s] = true
		out = append(out, s)
		return true
	}
	for _, v := range values {
		add(v)
	}
	lines := 0
	for _, v := range values {
		if !strings.Contains(strings.TrimSpace(v), "\n") {
			continue
		}
		for line := range strings.Lines(v) {
			if lines < maxLines && len(strings.TrimSpace(line)) >= minLine && add(line) {
				lines++
			}
		}
	}
	return out
}

// uniquePrefixes are the usual ones and the shortest of the others.
func uniquePrefixes(extra []string) []string {
	var more []string
	for _, p := range extra {
		if p = strings.TrimSpace(p); p != "" && !slices.Contains(defaultPrefixes, p) && !slices.Contains(more, p) {
			more = append(more, p)
		}
	}
	slices.SortStableFunc(more, func(a, b string) int { return len(a) - len(b) })
	return append(slices.Clone(defaultPrefixes), more[:min(len(more), maxPrefixes)]...)
}

func tokenByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || strings.IndexByte("._=-", c) >= 0
}

func parameterByte(c byte) bool {
	return c > ' ' && strings.IndexByte("&\"'<>`#", c) < 0
}
