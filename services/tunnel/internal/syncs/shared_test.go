package syncs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/policyapi"
	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

// crowd are followers of one ref that look at it as they do, spread over Every.
func crowd(t *testing.T, entries int, ref agentconfig.GitRef) (*world, []*follower) {
	t.Helper()
	w := &world{head: "c1", tags: [][]gitlab.Tag{{{Name: "v1.0.0", Commit: "c1"}}}}
	k := New(Config{
		GitLab: w, Every: 3 * time.Second, Log: slog.New(slog.DiscardHandler),
		Token:   func(string) (string, string, error) { return "token", "a setting", nil },
		Entries: func() (agentconfig.GitOps, *policyapi.Configuration) { return agentconfig.GitOps{}, nil },
	})
	var all []*follower
	for range entries {
		m := shop
		m.Ref = ref
		all = append(all, &follower{Keeper: k, entry: m, project: 42})
	}
	return w, all
}

// lookFor has the followers look for some time, and all of them find the head.
func lookFor(t *testing.T, all []*follower, during time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), during)
	defer cancel()
	var looking sync.WaitGroup
	for i, f := range all {
		looking.Go(func() {
			time.Sleep(f.Every * time.Duration(i) / time.Duration(len(all))) // in the bubble's time
			for ctx.Err() == nil {
				if err := f.look(ctx, "token"); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
				time.Sleep(f.pause())
			}
		})
	}
	looking.Wait()
}

// Entries of one ref share the looks at it, however many they are, and see a new
// commit as soon as they should.
func TestEntriesShareTheirLooks(t *testing.T) {
	for name, ref := range map[string]agentconfig.GitRef{"branch": {Branch: "main"}, "versions": {Semver: "1.x"}} {
		synctest.Test(t, func(t *testing.T) {
			w, all := crowd(t, 100, ref)
			const minutes = 5
			lookFor(t, all, minutes*time.Minute)
			const most = minutes * 60 / 3 * (sharedIn + 1)
			if n := w.looks + len(w.asked); n > most || n < minutes*60/3/2 {
				t.Errorf("%s: %d looks in %d minutes, want at most %d", name, n, minutes, most)
			}
			w.head, w.tags = "c2", [][]gitlab.Tag{{{Name: "v1.0.1", Commit: "c2"}}}
			time.Sleep(time.Second)
			lookFor(t, all, 4*time.Second)
			for _, f := range all {
				if f.head.ID != "c2" {
					t.Fatalf("%s: an entry stands at %s", name, f.head.ID)
				}
			}
		})
	}
}

// Each entry asks for itself when it was wished, when its last look found the same
// answer, and with another token; whoever waits for a look that is given up asks,
// too.
func TestWhatIsNotShared(t *testing.T) {
	w, all := crowd(t, 2, agentconfig.GitRef{})
	look := func(f *follower, token string, want int) {
		t.Helper()
		if err := f.look(t.Context(), token); err != nil || w.looks != want {
			t.Errorf("%d looks, want %d, %v", w.looks, want, err)
		}
	}
	look(all[0], "token", 1)
	look(all[1], "token", 1)
	look(all[1], "token", 2)
	all[0].wished = true
	look(all[0], "token", 3)
	look(all[1], "another", 4)
	w.head = "" // what goes wrong is shared as well
	if err := all[0].look(t.Context(), "token"); !errors.Is(err, gitlab.ErrNoFile) || w.looks != 5 {
		t.Errorf("%d looks, %v", w.looks, err)
	}
	all[1].lookedAt = time.Time{}
	if err := all[1].look(t.Context(), "token"); !errors.Is(err, gitlab.ErrNoFile) || w.looks != 5 {
		t.Errorf("%d looks, %v", w.looks, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	a := answers[int]{all: map[looked]*shared[int]{}}
	_, _ = a.get(ctx, looked{}, time.Time{}, func(int) (int, error) { cancel(); return 1, ctx.Err() })
	if n, err := a.get(t.Context(), looked{}, time.Time{}, func(int) (int, error) { return 2, nil }); n != 2 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

func TestAnswersAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := answers[int]{all: map[looked]*shared[int]{}}
		ask := func(name string) {
			_, _ = a.get(t.Context(), looked{ref: name}, time.Now(), func(int) (int, error) { return 1, nil })
		}
		for n := range 10 {
			ask(fmt.Sprint(n))
		}
		time.Sleep(unused + time.Second)
		ask("new")
		if len(a.all) != 1 {
			t.Errorf("%d answers are kept", len(a.all))
		}
	})
}
