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

func TestTheCollectorWorksOnceAJobIsThere(t *testing.T) {
	before := debug.SetGCPercent(-1)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	t.Run("at once, when the job comes at once", func(t *testing.T) {
		debug.SetGCPercent(-1)
		rest()()
		if got := pace(t); got != firstGCPercent {
			t.Fatalf("pace before the first collection: %d %%, want %d", got, firstGCPercent)
		}
		deadline := time.Now().Add(10 * time.Second)
		for runtime.GC(); pace(t) != gcPercent; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("pace after the first collection: %d %%, want %d", pace(t), gcPercent)
			}
		}
	})
	t.Run("and what warming left over is returned, when it comes late", func(t *testing.T) {
		debug.SetGCPercent(-1)
		var was, is runtime.MemStats
		runtime.ReadMemStats(&was)
		collect := rest()
		time.Sleep(restAfter + 100*time.Millisecond)
		collect()
		if got := pace(t); got != gcPercent {
			t.Fatalf("pace: %d %%, want %d", got, gcPercent)
		}
		if runtime.ReadMemStats(&is); is.NumForcedGC == was.NumForcedGC {
			t.Fatal("nothing was collected meanwhile")
		}
	})
}
