package release

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/towline/towline/services/runner/internal/toolbox/helm/library"
)

// shortestSecret is the length below which a value is not hidden: black spots in
// place of every "true" and "80" would hide the message instead.
const shortestSecret = 5

// blacked stands in for what is hidden.
const blacked = "[redacted]"

// blacking hides values in texts for people.
type blacking struct{ values []string }

// learn adds every text in value, however deep, in the forms in which it may be
// quoted.
func (b *blacking) learn(value any) {
	b.collect(value)
	b.sort()
}

// learnBefore adds what stood in before where something confidential stands now.
func (b *blacking) learnBefore(confidential, before any) {
	b.collectBefore(confidential, before)
	b.sort()
}

func (b *blacking) collectBefore(confidential, before any) {
	now, ok := confidential.(map[string]any)
	then, both := before.(map[string]any)
	if !ok || !both {
		b.collect(before)
		return
	}
	for key, inner := range now {
		if old, ok := then[key]; ok {
			b.collectBefore(inner, old)
		}
	}
}

// sort puts the longest first.
func (b *blacking) sort() {
	slices.SortFunc(b.values, func(a, c string) int {
		return cmp.Or(cmp.Compare(len(c), len(a)), cmp.Compare(a, c))
	})
	b.values = slices.Compact(b.values)
}

func (b *blacking) collect(value any) {
	switch v := value.(type) {
	case map[string]any:
		for _, inner := range v {
			b.collect(inner)
		}
	case []any:
		for _, inner := range v {
			b.collect(inner)
		}
	case string:
		b.add(v)
		for line := range strings.SplitSeq(v, "\n") {
			b.add(strings.TrimSpace(line))
		}
	case nil, bool:
	default:
		b.add(fmt.Sprint(v))
	}
}

func (b *blacking) add(text string) {
	if len(text) < shortestSecret {
		return
	}
	quoted := strings.Trim(fmt.Sprintf("%q", text), `"`)
	b.values = append(b.values, text, quoted, base64.StdEncoding.EncodeToString([]byte(text)))
}

// hide returns text without what was learned.
func (b *blacking) hide(text string) string {
	for _, v := range b.values {
		text = strings.ReplaceAll(text, v, blacked)
	}
	return text
}

// blacken keeps an error's chain for errors.Is and As, but not its text.
func (r *run) blacken(err error) error {
	if err == nil {
		return nil
	}
	if hidden := r.secrets.hide(err.Error()); hidden != err.Error() {
		return &hiddenError{text: hidden, is: err}
	}
	return err
}

// hiddenError is an error whose text is not for everybody.
type hiddenError struct {
	text string
	is   error
}

// Error implements error.
func (e *hiddenError) Error() string { return e.text }

// Is compares without giving the cause away.
func (e *hiddenError) Is(target error) bool { return errors.Is(e.is, target) }

// silence takes the library's warnings for good: they quote values.
var silence = sync.OnceFunc(func() { library.WithoutWarnings() })
