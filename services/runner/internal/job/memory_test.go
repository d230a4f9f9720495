package job

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

func pace(t *testing.T) int {
	t.Helper()
	now := debug.SetGCPercent(-1)
	debug.SetGCPercent(now)
	return now
}

// await waits a while for something to become true, and says whether it has.
func await(is func() bool) bool {
	tick, over := time.NewTicker(time.Millisecond), time.After(time.Minute)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-over:
			return false
		}
	}
	return true
}

func TestTheCollectorWorksOnceAJobIsThere(t *testing.T) {
	before := debug.SetGCPercent(-1)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	t.Run("at once, when the job comes at once", func(t *testing.T) {
		debug.SetGCPercent(-1)
		rest()()
		if got := pace(t); got != firstGCPercent {
			t.Fatalf("pace before the first collection: %d %%, want %d", got, firstGCPercent)
		}
		runtime.GC()
		if !await(func() bool { return pace(t) == gcPercent }) {
			t.Fatalf("pace after the first collection: %d %%, want %d", pace(t), gcPercent)
		}
	})
	t.Run("and what warming left over is returned, when it comes late", func(t *testing.T) {
		debug.SetGCPercent(-1)
		var was, is runtime.MemStats
		runtime.ReadMemStats(&was)
		collect := rest()
		collected := await(func() bool { runtime.ReadMemStats(&is); return is.NumForcedGC != was.NumForcedGC })
		collect()
		if got := pace(t); got != gcPercent {
			t.Fatalf("pace: %d %%, want %d", got, gcPercent)
		}
		if !collected {
			t.Fatal("nothing was collected meanwhile")
		}
	})
}
