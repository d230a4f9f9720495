package cache

import (
	"fmt"
	"path"
	"strings"

	"github.com/towline/towline/pkg/jobspec"
)

// Policies of an entry.
const (
	PolicyPull     = "pull"
	PolicyPush     = "push"
	PolicyPullPush = "pull-push"
)

// Limits on what a payload asks for.
const (
	maxEntries = 32
	maxKeys    = 16 // of one entry, fallbacks included
	maxKey     = 1024
)

// protectedSuffix and openSuffix end the keys that GitLab sends: they keep what
// jobs of unprotected branches have written away from those of protected ones.
// What stands before them is the author's; they must outlive any resolving.
const (
	protectedSuffix = "-protected"
	openSuffix      = "-non_protected"
)

// fallbackVariable names one more key to read from, for all entries.
const fallbackVariable = "$CACHE_FALLBACK_KEY"

// Entry is one cache of a job, resolved.
type Entry struct {
	Keys    []string `json:"keys"` // the entry's own first, then the fallbacks
	Policy  string   `json:"policy"`
	Notices []string `json:"notices,omitempty"`
}

// Reads says whether the policy lets a job read.
func (e *Entry) Reads() bool { return e.Policy == PolicyPull || e.Policy == PolicyPullPush }

// Writes says whether the policy lets a job write.
func (e *Entry) Writes() bool { return e.Policy == PolicyPush || e.Policy == PolicyPullPush }

// Resolve turns the caches of a payload into entries, in the same order. expand
// resolves the job's variables in texts.
func Resolve(job *jobspec.Job, expand func([]string) []string) ([]Entry, error) {
	if len(job.Cache) > maxEntries {
		return nil, fmt.Errorf("the job has %d caches, more than %d", len(job.Cache), maxEntries)
	}
	var out []Entry
	for _, c := range job.Cache {
		r := &resolver{expand: expand}
		r.entry.Policy = expand([]string{c.Policy})[0]
		key := c.Key
		if key == "" {
			key = path.Join(job.JobInfo.Name, job.GitInfo.Ref)
			r.literal(key)
		} else {
			r.key(key)
		}
		switch r.entry.Policy {
		case PolicyPull, PolicyPush, PolicyPullPush:
		case "":
			r.entry.Policy = PolicyPullPush
		default:
			return nil, fmt.Errorf("unknown cache policy %s for %s", r.entry.Policy, key)
		}
		if len(r.entry.Keys) > 0 {
			for _, f := range c.FallbackKeys {
				r.key(f)
			}
			r.variable()
		}
		out = append(out, r.entry)
	}
	return out, nil
}

type resolver struct {
	expand func([]string) []string
	entry  Entry
}

// key resolves a key that GitLab has ended with a suffix.
func (r *resolver) key(raw string) {
	stem, suffix := raw, ""
	for _, s := range []string{openSuffix, protectedSuffix} {
		if cut, ok := strings.CutSuffix(raw, s); ok {
			stem, suffix = cut, s
			break
		}
	}
	r.literal(r.expand([]string{stem})[0] + suffix)
}

// variable adds CACHE_FALLBACK_KEY. An author chooses all of it, so that it must
// not name what only protected branches may write.
func (r *resolver) variable() {
	key := r.expand([]string{fallbackVariable})[0]
	if key == "" {
		return
	}
	if strings.HasSuffix(sanitised(key), protectedSuffix) {
		r.notice(fmt.Sprintf("CACHE_FALLBACK_KEY %q not allowed to end in %q", key, protectedSuffix))
		return
	}
	r.literal(key)
}

func (r *resolver) literal(key string) {
	clean := sanitised(key)
	switch {
	case clean == "" || len(clean) > maxKey:
		r.notice(fmt.Sprintf("cache key %.100q cannot be used: it is empty or longer than %d bytes", key, maxKey))
		return
	case len(r.entry.Keys) == maxKeys:
		return
	case clean != key:
		r.notice(fmt.Sprintf("cache key %q sanitized to %q", key, clean))
	}
	r.entry.Keys = append(r.entry.Keys, clean)
}

func (r *resolver) notice(text string) { r.entry.Notices = append(r.entry.Notices, text) }

// sanitised keeps what is safe to show and to compare: no empty, "." or ".."
// elements, no control characters, no blanks at the ends.
func sanitised(key string) string {
	key = strings.Map(func(c rune) rune {
		switch {
		case c == '\\':
			return '/'
		case c < ' ' || c == 0x7f:
			return '_'
		}
		return c
	}, key)
	var out []string
	for element := range strings.SplitSeq(key, "/") {
		element = strings.TrimSpace(element)
		if element != "" && element != "." && element != ".." {
			out = append(out, element)
		}
	}
	return strings.Join(out, "/")
}
