package syncs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

const (
	// sharedIn is the part of Every for which an answer does for other entries
	// that look at the same.
	sharedIn = 3
	// unused is how long an answer is remembered that nobody has asked for.
	unused = 10 * time.Minute
)

// looked is what is looked at; the same ref may look different to another token.
type looked struct{ token, project, ref string }

// shared is an answer of GitLab's for all entries that look at the same.
type shared[T any] struct {
	turn  chan struct{} // whose it is to ask
	began time.Time     // when the answer was asked for
	value T
	err   error
}

// answers are those to one kind of look.
type answers[T any] struct {
	mu    sync.Mutex
	all   map[looked]*shared[T]
	swept time.Time
}

func (a *answers[T]) of(what looked) *shared[T] {
	a.mu.Lock()
	defer a.mu.Unlock()
	if time.Since(a.swept) > unused {
		a.sweep()
	}
	s := a.all[what]
	if s == nil {
		s = &shared[T]{turn: make(chan struct{}, 1)}
		a.all[what] = s
	}
	return s
}

// sweep forgets what was not asked for of late. What is being asked for stays.
func (a *answers[T]) sweep() {
	a.swept = time.Now()
	for what, s := range a.all {
		select {
		case s.turn <- struct{}{}:
			if time.Since(s.began) > unused {
				delete(a.all, what)
			}
			<-s.turn
		default:
		}
	}
}

// get is an answer that was asked for since a moment, if there is none by asking
// with what the last one was.
func (a *answers[T]) get(ctx context.Context, what looked, since time.Time, ask func(before T) (T, error)) (T, error) {
	s := a.of(what)
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
	if !s.began.IsZero() && !s.began.Before(since) {
		return s.value, s.err
	}
	began := time.Now()
	value, err := ask(s.value)
	if ctx.Err() != nil {
		return value, err // whoever waits asks for itself
	}
	s.began, s.value, s.err = began, value, err
	return value, err
}

// standsAt is where a ref of a project stands.
func (f *follower) standsAt(ctx context.Context, token, project, name string) (gitlab.CommitAt, error) {
	return f.commits.get(ctx, looked{token, project, name}, f.fresh, func(before gitlab.CommitAt) (gitlab.CommitAt, error) {
		at, err := f.GitLab.Commit(ctx, token, project, name, before.ETag)
		if err != nil || at == nil {
			return before, err
		}
		return *at, nil
	})
}

// tagList are the tags of a project.
type tagList struct {
	pages   []gitlab.TagPage
	at      time.Time // when all of them were looked at
	version int64     // another one for others; 0: there are none
}

// readTags are the tags of the entry's project.
func (f *follower) readTags(ctx context.Context, token string) (tagList, error) {
	return f.tagLists.get(ctx, looked{token: token, project: f.entry.Project}, f.fresh, func(before tagList) (tagList, error) {
		return f.nextTags(ctx, token, before)
	})
}

// nextTags brings a list up to date. The usual look costs one conditional
// request.
func (f *follower) nextTags(ctx context.Context, token string, before tagList) (tagList, error) {
	none := tagList{}
	next := tagList{at: time.Now(), version: before.version}
	for n := 0; ; n++ {
		if n == maxTagPages {
			return none, fmt.Errorf("%w: it has more than %d tags, which are too many to look through; delete old ones, or name a branch or a tag", errNoVersion, maxTagPages*gitlab.TagsPerPage)
		}
		etag := ""
		if n < len(before.pages) {
			etag = before.pages[n].ETag
		}
		page, err := f.GitLab.Tags(ctx, token, f.entry.Project, n+1, etag)
		switch {
		case err != nil:
			return none, err
		case page != nil:
			next.version = time.Now().UnixNano()
		case n == 0 && time.Since(before.at) < tagsFresh:
			return before, nil
		case n >= len(before.pages):
			return none, errors.New("GitLab answers 304 to a question without a condition")
		default:
			page = &before.pages[n]
		}
		next.pages = append(next.pages, *page)
		if !page.More {
			return next, nil
		}
	}
}
