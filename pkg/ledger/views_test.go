package ledger_test

import (
	"errors"
	"testing"
	"time"

	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/seal"
)

func TestViewsAreSealedForTheirSync(t *testing.T) {
	b := open(t)
	box, err := seal.New(make([]byte, seal.KeySize))
	b.must(err)
	if _, err := b.View(t.Context(), box, entry); !errors.Is(err, ledger.ErrUnknown) {
		t.Errorf("no view: %v", err)
	}
	b.must(b.PutView(t.Context(), box, entry, []byte("view")))
	if v, err := b.View(t.Context(), box, entry); string(v) != "view" || err != nil {
		t.Errorf("%q, %v", v, err)
	}
	sealed, err := b.rdb.Get(t.Context(), b.key("{sync:"+entry+"}:view")).Bytes()
	b.must(err)
	b.must(b.rdb.Set(t.Context(), b.key("{sync:other}:view"), sealed, time.Minute).Err())
	if v, err := b.View(t.Context(), box, "other"); err == nil {
		t.Errorf("the view of one entry is read as another's: %q", v)
	}
	if err := b.PutView(t.Context(), box, entry, make([]byte, ledger.MaxView)); err == nil {
		t.Error("a view has no limit")
	}
	b.must(b.DropView(t.Context(), entry))
	if _, err := b.View(t.Context(), box, entry); !errors.Is(err, ledger.ErrUnknown) {
		t.Errorf("a dropped view: %v", err)
	}
}

func TestWishesAreHeard(t *testing.T) {
	b := open(t)
	heard := make(chan string, 1)
	go func() {
		_ = b.Wished(t.Context(), func(name, commit string) {
			select {
			case heard <- name + "@" + commit:
			default:
			}
		})
	}()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 500 {
		b.must(b.Wish(t.Context(), entry, "c1"))
		select {
		case name := <-heard:
			if name != entry+"@c1" {
				t.Errorf("heard %q", name)
			}
			return
		case <-tick.C:
		}
	}
	t.Error("no wish is heard")
}
