package workspace

import (
	"context"
	"fmt"
	"strings"

	"github.com/towline/towline/pkg/jobspec"
)

// Log takes the lines of the stage.
type Log interface {
	Notice(text string) // a green line
	Warn(text string)
	Raw(text string) // a line as git itself prints it
}

// Request says what to put where.
type Request struct {
	Dir           string // exists and is empty
	Git           jobspec.GitInfo
	AllowGitFetch bool
	Get           func(key string) string // the job's variables
	Proxy         string                  // http://user:password@host:port, or "" for a direct connection
	CA            string                  // PEM, in addition to the system's
	UserAgent     string
	Log           Log
}

// Error is a failure of the sources' stage. Its text holds no credential.
type Error struct{ Text string }

func (e *Error) Error() string { return e.Text }

// Strategies of GIT_STRATEGY.
const (
	strategyClone = "clone"
	strategyFetch = "fetch"
	strategyNone  = "none"
	strategyEmpty = "empty"
)

// Skipped says whether the job wants no repository at all.
func Skipped(get func(string) string) bool {
	s := get("GIT_STRATEGY")
	return s == strategyNone || s == strategyEmpty
}

// GetSources carries out the stage. A failure is logged and returned as an
// *Error; the end of ctx is returned as its cause.
func GetSources(ctx context.Context, r Request) error {
	switch s := r.Get("GIT_STRATEGY"); s {
	case strategyNone:
		return r.skip("Skipping Git repository setup")
	case strategyEmpty:
		return r.skip("Skipping Git repository setup and creating an empty build directory")
	case "", strategyClone, strategyFetch:
	default:
		r.Log.Warn(fmt.Sprintf("unknown GIT_STRATEGY %q: using the default", s))
	}
	switch s := r.Get("GIT_SUBMODULE_STRATEGY"); s {
	case "", strategyNone, submodulesNormal, submodulesRecursive:
	default:
		return r.fail(fmt.Errorf("unknown GIT_SUBMODULE_STRATEGY %q: use none, normal or recursive", s))
	}
	if r.Git.RepoURL == "" {
		return r.fail(fmt.Errorf("the job has no repository"))
	}
	err := r.fetchAndCheckOut(ctx)
	if cause := context.Cause(ctx); cause != nil && err != nil {
		return cause
	}
	if err != nil {
		return r.fail(err)
	}
	return nil
}

func (r *Request) skip(notice string) error {
	r.Log.Notice(notice)
	r.Log.Notice("Skipping Git checkout")
	r.Log.Notice("Skipping Git submodules setup")
	return nil
}

// fail logs an error without the credentials that it may quote.
func (r *Request) fail(err error) error {
	text := r.redact(err.Error())
	r.Log.Raw("fatal: " + text)
	return &Error{Text: text}
}

func (r *Request) redact(text string) string {
	for _, secret := range r.secrets() {
		text = strings.ReplaceAll(text, secret, "[MASKED]")
	}
	return text
}
