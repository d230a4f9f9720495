package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/towline/towline/services/runner/internal/job"
	"github.com/towline/towline/services/runner/internal/sandbox"
	"github.com/towline/towline/services/runner/internal/usage"
)

// Limits of one job. Zero is no limit.
type Limits struct {
	Scratch int64 // bytes of files, --scratch-limit
	Memory  int64 // bytes of memory, each process and all together, --memory-limit
}

// Limits that are no settings.
const (
	maxFiles     = 200_000
	maxProcesses = 512
	// threadsPerSlot is how many threads each slot may have beside the processes
	// of one job, since the kernel counts processes and threads of all jobs, and
	// of the runner, together.
	threadsPerSlot = 64
)

// Measuring takes at most a twentieth of the time, and is not done more often
// than once a second.
const (
	measureEvery = time.Second
	measureShare = 20
)

// ProcessLimits are those of each process of a job, and of a sync.
func (w *Worker) ProcessLimits() sandbox.Limits { return w.limits() }

// limits are those of each process of a job.
func (w *Worker) limits() sandbox.Limits {
	return sandbox.Limits{Memory: w.Limits.Memory, FileSize: w.Limits.Scratch, Processes: 2*maxProcesses + threadsPerSlot*w.Slots}
}

// measure stops the job once it takes more than it may, until ctx ends.
func (r *running) measure(ctx context.Context) {
	tick := time.NewTicker(measureEvery)
	defer tick.Stop()
	var next time.Time // for the files, which may take long
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		group, over := r.processes()
		if began := time.Now(); over == "" && began.After(next) {
			over = r.files(group)
			next = time.Now().Add(time.Since(began) * (measureShare - 1))
		}
		if over != "" {
			r.stop(job.Result{State: job.StateFailed, FailureReason: job.ReasonScript, ExitCode: 1, Message: over}, "", 0)
			return
		}
	}
}

// processes says what of the job's processes is too much, if anything.
func (r *running) processes() (g usage.Group, over string) {
	g, err := r.w.census.Group(r.proc.cmd.Process.Pid)
	switch limit := r.w.Limits.Memory; {
	case err != nil: // for want of descriptors most likely; the next time may do
	case len(g.IDs) > maxProcesses:
		over = fmt.Sprintf("it runs %d processes at once; a job may run %d", len(g.IDs), maxProcesses)
	case limit > 0 && g.Resident > limit: // or less, for that counts twice what they share
		if memory := g.Memory(); memory > limit {
			over = fmt.Sprintf("its processes take %s of memory, more than --memory-limit %s allows", size(memory), size(limit))
		}
	}
	return g, over
}

// files says what of the job's files is too much, if anything.
func (r *running) files(g usage.Group) (over string) {
	limit := r.w.Limits.Scratch
	files, err := usage.Tree(r.dir, maxFiles)
	deleted, _ := g.Deleted(r.dir)
	switch {
	case errors.Is(err, usage.ErrTooDeep):
		return fmt.Sprintf("its directories lie more than %d levels deep in one another", usage.MaxDepth)
	case files.Count > maxFiles:
		return fmt.Sprintf("it has more than %d files", maxFiles)
	case limit > 0 && files.Bytes+deleted > limit && deleted > files.Bytes:
		return fmt.Sprintf("its files take %s, more than --scratch-limit %s allows; most are deleted, but still open", size(files.Bytes+deleted), size(limit))
	case limit > 0 && files.Bytes+deleted > limit:
		return fmt.Sprintf("its files take %s, more than --scratch-limit %s allows", size(files.Bytes+deleted), size(limit))
	}
	return ""
}

// size is a number of bytes for people, rounded up so that more than a limit
// does not look like the limit.
func size(n int64) string {
	const step = 1024
	units := []string{"bytes", "KiB", "MiB", "GiB", "TiB"}
	f, u := float64(n), 0
	for ; f >= step && u < len(units)-1; u++ {
		f /= step
	}
	tenths := int64(f * 10)
	if float64(tenths) < f*10 {
		tenths++
	}
	if tenths%10 == 0 {
		return fmt.Sprintf("%d %s", tenths/10, units[u])
	}
	return fmt.Sprintf("%d.%d %s", tenths/10, tenths%10, units[u])
}
