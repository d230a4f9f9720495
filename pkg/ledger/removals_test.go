package ledger_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/towline/towline/pkg/ledger"
)

func TestMarksKeepTheTasksOfSyncs(t *testing.T) {
	b := open(t)
	if names, err := b.Marked(t.Context()); len(names) > 0 || err != nil {
		t.Errorf("%v, %v", names, err)
	}
	if task, err := b.SyncTask(t.Context(), entry); task != nil || !errors.Is(err, ledger.ErrUnknown) {
		t.Errorf("%q, %v", task, err)
	}
	b.want("task")
	b.must(b.Mark(t.Context(), entry))
	b.must(b.Mark(t.Context(), entry))
	b.everythingExpires()
	for _, key := range []string{"removable", "{sync:" + entry + "}", "{sync:" + entry + "}:task"} {
		b.must(b.rdb.PExpire(t.Context(), b.key(key), time.Minute).Err())
	}
	names, err := b.Marked(t.Context())
	if strings.Join(names, " ") != entry || err != nil {
		t.Errorf("%v, %v", names, err)
	}
	b.must(b.HoldMarked(t.Context(), names))
	for key, left := range b.keys() {
		if strings.Contains(key, entry) && !strings.HasSuffix(key, ":lease") && left < ledger.SyncTTL-time.Hour {
			t.Errorf("%s is kept for %s only", key, left)
		}
	}
	if task, err := b.SyncTask(t.Context(), entry); string(task) != "task" || err != nil {
		t.Errorf("%q, %v", task, err)
	}
	b.must(b.Unmark(t.Context(), entry))
	if names, err := b.Marked(t.Context()); len(names) > 0 || err != nil {
		t.Errorf("%v, %v", names, err)
	}
}
