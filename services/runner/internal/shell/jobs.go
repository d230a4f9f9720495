package shell

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// firstJob is the number of the first background command: above what the
// kernel gives its processes by default, so that none is taken for another.
const firstJob = 4_200_000

// maxJobs is how many background commands one job of GitLab's may start.
const maxJobs = 100_000

// jobs are the background commands of all shells of one job.
type jobs struct {
	mu   sync.Mutex
	list []*background
}

// background is one background command.
type background struct {
	number int
	parent string // the number of the subshell that started it, "" for a shell itself
	shell  *session
	text   string
	ctx    context.Context //nolint:containedctx // a background command outlives the call that starts it
	cancel context.CancelFunc
	ended  chan struct{}

	// Guarded by the mutex of jobs.
	code   int
	signal int
	over   bool
	asked  bool // its code was waited for
}

func newJobs() *jobs { return &jobs{} }

// add registers a background command that is about to start.
func (j *jobs) add(ctx context.Context, shell *session, parent, text string) *background {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.list) >= maxJobs {
		return nil
	}
	b := &background{number: firstJob + len(j.list), parent: parent, shell: shell, text: text, ended: make(chan struct{})}
	b.ctx, b.cancel = context.WithCancel(ctx)
	j.list = append(j.list, b)
	return b
}

// number finds a background command by what $! was.
func (j *jobs) number(text string) *background {
	n, err := strconv.Atoi(text)
	j.mu.Lock()
	defer j.mu.Unlock()
	if err != nil || n < firstJob || n >= firstJob+len(j.list) {
		return nil
	}
	return j.list[n-firstJob]
}

// of lists the background commands of one subshell.
func (j *jobs) of(shell *session, parent string) []*background {
	j.mu.Lock()
	defer j.mu.Unlock()
	var own []*background
	for _, b := range j.list {
		if b.shell == shell && b.parent == parent {
			own = append(own, b)
		}
	}
	return own
}

// find resolves %1, %%, %+, %-, %text or a number.
func (j *jobs) find(shell *session, parent, text string) *background {
	spec, isJob := strings.CutPrefix(text, "%")
	if !isJob {
		return j.number(text)
	}
	own := j.of(shell, parent)
	at := len(own) - 1
	switch n, err := strconv.Atoi(spec); {
	case err == nil:
		at = n - 1
	case spec == "-":
		at--
	case spec != "" && spec != "%" && spec != "+":
		at = slices.IndexFunc(own, func(b *background) bool { return strings.HasPrefix(b.text, spec) })
	}
	if at < 0 || at >= len(own) {
		return nil
	}
	return own[at]
}

// finish records how a background command ended, once.
func (j *jobs) finish(b *background, code int) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	if b.over {
		return b.code
	}
	if b.signal != 0 {
		code = bySignal + b.signal
	}
	// Its context goes on: what it has started in the background outlives it.
	b.code, b.over = code, true
	close(b.ended)
	return code
}

// kill ends a background command with everything that it has started. It says
// whether there was something to end.
func (j *jobs) kill(b *background, signal int) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if b.over {
		return false
	}
	if signal != 0 && b.signal == 0 {
		b.signal = signal
		b.cancel()
	}
	return true
}

// killed returns the signal with which a background command was ended.
func (j *jobs) killed(b *background) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return b.signal
}

// state says how a background command is.
func (j *jobs) state(b *background) (over bool, code int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return b.over, b.code
}

// ask marks a command as waited for, and says whether it was before.
func (j *jobs) ask(b *background) (before bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	before, b.asked = b.asked, true
	return before
}

// wasAsked says whether a command was waited for.
func (j *jobs) wasAsked(b *background) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return b.asked
}
