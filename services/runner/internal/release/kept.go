package release

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/towline/towline/services/runner/internal/recency"
)

// Limits on what is kept between runs.
const (
	maxKept     = 4 // packed charts
	maxAnswers  = 64
	maxNote     = 64 << 10 // bytes of what is said of a chart, and of an answer of an index
	maxVerifier = 1 << 10  // bytes of an ETag
)

// How far dates of last changes are trusted. They are of whole seconds, and what
// an older file has replaced looks unchanged.
const (
	datedSince = time.Minute // ago at least, or it may change once more with the same date
	trustDates = time.Hour   // then everything is read again
)

// shelf is a directory of what was fetched before; "" keeps nothing. Nobody but
// its owner writes to it, and still nothing in it is believed that does not have
// its digest. That something cannot be kept is no failure: it is fetched again.
type shelf string

// verifier makes a request conditional.
type verifier struct {
	ETag     string    `json:"etag,omitempty"`
	Modified string    `json:"modified,omitempty"` // without an ETag only
	Read     time.Time `json:"read"`               // when the server has sent it all
}

// verifierOf is what a server says of an answer; zero if there is nothing that
// can be relied upon.
func verifierOf(h http.Header, now time.Time) verifier {
	if etag := h.Get("ETag"); etag != "" {
		if len(etag) > maxVerifier {
			return verifier{}
		}
		return verifier{ETag: etag, Read: now}
	}
	modified, err := http.ParseTime(h.Get("Last-Modified"))
	date, bad := http.ParseTime(h.Get("Date"))
	if err != nil || bad != nil || date.Sub(modified) < datedSince {
		return verifier{}
	}
	return verifier{Modified: h.Get("Last-Modified"), Read: now}
}

// usable says whether a request with it can be answered with "unchanged".
func (v verifier) usable(now time.Time) bool {
	return v.ETag != "" || v.Modified != "" && now.Sub(v.Read) < trustDates
}

// ask makes a request conditional, if that is possible.
func (v verifier) ask(h http.Header) {
	switch {
	case v.ETag != "":
		h.Set("If-None-Match", v.ETag)
	case v.Modified != "":
		h.Set("If-Modified-Since", v.Modified)
	}
}

// note is what stands before a kept chart.
type note struct {
	verifier

	Sum      string `json:"sum"`                // SHA-256 of the chart
	Manifest []byte `json:"manifest,omitempty"` // by which a registry knows it
}

// resolved is what an index said of a wanted version.
type resolved struct {
	verifier

	Address string `json:"address"`
	Digest  string `json:"digest,omitempty"`
}

// key names something of a repository for whoever has the same credentials.
func (s *source) key(parts ...string) string {
	text, _ := json.Marshal(append(parts, s.Username.Reveal(), s.Password.Reveal(), s.CA)) // strings can be written
	return hexSum(text)
}

const (
	chartFile  = ".tgz"
	answerFile = ".json"
)

// chart returns a packed chart and what was noted of it, nil if it is not there.
func (s shelf) chart(key string) (packed []byte, n note) {
	text := s.read(key+chartFile, maxNote+maxArchive)
	head, packed, ok := bytes.Cut(text, []byte("\n"))
	if !ok {
		return nil, note{}
	}
	if json.Unmarshal(head, &n) != nil || n.Sum != hexSum(packed) {
		_ = os.Remove(filepath.Join(string(s), key+chartFile)) // cut short, or worse
		return nil, note{}
	}
	return packed, n
}

// keepChart writes a packed chart.
func (s shelf) keepChart(key string, packed []byte, n note) {
	n.Sum = hexSum(packed)
	if head, err := json.Marshal(n); err == nil && len(head) < maxNote {
		s.write(key+chartFile, append(append(head, '\n'), packed...))
		s.tidy(chartFile, maxKept)
	}
}

// answer returns what an index has said, the zero value if that is not known.
func (s shelf) answer(key string) (r resolved) {
	if json.Unmarshal(s.read(key+answerFile, maxNote), &r) != nil {
		return resolved{}
	}
	return r
}

// keepAnswer writes what an index has said.
func (s shelf) keepAnswer(key string, r resolved) {
	if text, err := json.Marshal(r); err == nil && len(text) < maxNote {
		s.write(key+answerFile, text)
		s.tidy(answerFile, maxAnswers)
	}
}

// read returns a file within the limit, nil if that cannot be.
func (s shelf) read(name string, limit int64) []byte {
	if s == "" {
		return nil
	}
	full := filepath.Join(string(s), name)
	f, err := os.Open(full)
	if err != nil {
		return nil
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil || int64(len(text)) > limit {
		return nil
	}
	_ = recency.Use(full)
	return text
}

// write writes a file as a whole or not at all.
func (s shelf) write(name string, text []byte) {
	if s == "" {
		return
	}
	f, err := os.CreateTemp(string(s), "fetching-")
	if err != nil {
		return
	}
	_, err = f.Write(text)
	// The file system's own clock is coarse: many files may be of one moment.
	if err = errors.Join(err, f.Close(), recency.Use(f.Name())); err == nil {
		err = os.Rename(f.Name(), filepath.Join(string(s), name))
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
}

// tidy removes what has not been used for the longest time.
func (s shelf) tidy(ext string, most int) {
	names, err := recency.List(string(s))
	if err != nil {
		return
	}
	names = slices.DeleteFunc(names, func(name string) bool { return filepath.Ext(name) != ext })
	for _, name := range names[min(most, len(names)):] {
		_ = os.Remove(filepath.Join(string(s), name))
	}
}
