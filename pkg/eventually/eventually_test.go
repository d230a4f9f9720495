package eventually_test

import (
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/towline/towline/pkg/eventually"
	"github.com/towline/towline/pkg/outputtest"
)

// told is a test that can fail without this one.
type told struct {
	testing.TB
	fatal string
}

func (t *told) Fatalf(format string, args ...any) {
	t.fatal = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func TestIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		asked := 0
		eventually.Is(t, "three questions", func() bool { asked++; return asked == 3 })
		if took := time.Since(begun); asked != 3 || took > time.Second {
			t.Errorf("%d questions in %s", asked, took)
		}
		var log outputtest.Buffer
		test := &told{TB: t}
		done := make(chan struct{})
		go func() {
			defer close(done)
			eventually.Is(test, "pigs fly", func() bool { return false }, &log)
		}()
		fmt.Fprint(&log, "no wings") // while it waits
		<-done
		if took := time.Since(begun); test.fatal != "still not so: pigs fly\nno wings" || took < eventually.Within {
			t.Errorf("%q after %s", test.fatal, took)
		}
	})
}
