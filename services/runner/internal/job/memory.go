package job

import (
	"runtime"
	"runtime/debug"
	"time"
)

// Pace of the collector in a job process. A process begins with about 12 MiB
// that stay for good and a few that do not; a collection costs it more than the
// commands of a small job.
const (
	gcPercent      = 200 // of what is in use, once it has run
	firstGCPercent = 600 // of the runtime's least heap of 4 MiB, before it has
)

// restAfter is how long a process waits for its job before it returns what
// warming has left over: one that is needed at once has better things to do,
// one that is not may wait for hours.
const restAfter = time.Second

// rest returns spare memory should the job not come soon. collect ends that and
// sets the collector to work; it is called when the job is there.
func rest() (collect func()) {
	rested := make(chan struct{})
	timer := time.AfterFunc(restAfter, func() {
		debug.FreeOSMemory()
		close(rested)
	})
	return func() {
		if !timer.Stop() {
			<-rested
			debug.SetGCPercent(gcPercent)
			return
		}
		debug.SetGCPercent(firstGCPercent)
		first := new(*byte) // has a pointer, so that it stands alone in memory
		runtime.AddCleanup(first, func(pace int) { debug.SetGCPercent(pace) }, gcPercent)
	}
}
