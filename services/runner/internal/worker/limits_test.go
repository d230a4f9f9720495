package worker

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/towline/towline/pkg/eventually"
	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/ledger/redistest"
	"github.com/towline/towline/services/runner/internal/job"
)

// withTools gives jobs a toolbox and limits.
func withTools(t *testing.T, l Limits) func(*bench) {
	t.Helper()
	const box = "/bin/busybox"
	names, err := exec.Command(box, "--list").Output()
	if err != nil {
		t.Fatalf("%v: install the package busybox-static", err)
	}
	program, err := os.ReadFile(box)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "busybox"), program, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Fields(string(names)) {
		if name != "busybox" {
			if err := os.Symlink("busybox", filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return func(b *bench) { b.Toolbox, b.Limits = []string{dir}, l }
}

func TestAJobThatTakesTooMuchIsStopped(t *testing.T) {
	t.Parallel()
	small := Limits{Scratch: 4 << 20, Memory: 400 << 20}
	for name, c := range map[string]struct{ script, says string }{
		"many files together": {"while :; do head -c 1000000 /dev/zero > f$((i+=1)); sleep 0.1; done", "its files take [0-9.]+ MiB, more than --scratch-limit 4 MiB allows\x1b"},
		"deleted files":       {"exec 3>f 4>g; rm f g; head -c 3000000 /dev/zero >&3; head -c 3000000 /dev/zero >&4; sleep 60", "its files take [0-9.]+ MiB, more than --scratch-limit 4 MiB allows; most are deleted, but still open"},
		"deep directories":    {"while mkdir d; do cd d; done; sleep 60", "its directories lie more than 256 levels deep in one another"},
		"processes":           {"while [ $((i+=1)) -lt 520 ]; do sleep 60 & done; wait", "it runs 5[0-9][0-9] processes at once; a job may run 512"},
		"memory of all":       {"(head -c 220000000 /dev/zero; sleep 60) | tail -c 220000000 & (head -c 220000000 /dev/zero; sleep 60) | tail -c 220000000", "its processes take [0-9.]+ MiB of memory, more than --memory-limit 400 MiB allows"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := run(t, redistest.New(t), withTools(t, small))
			b.put(id, []string{"start", "confine", "sh " + c.script, "result success"})
			res, trace := b.finished(id)
			if res != failed(ledger.ReasonScript, 1) || !regexp.MustCompile("ERROR: Job failed: "+c.says).MatchString(trace) {
				t.Errorf("%+v, %q", res, trace)
			}
			b.clean()
		})
	}
}

// TestNothingOfAJobSurvives: background processes, orphans, those that ignore
// signals and those that try to leave the group.
func TestNothingOfAJobSurvives(t *testing.T) {
	t.Parallel()
	const spawn = "sh echo group $PPID; exec >/dev/null 2>&1; trap '' TERM HUP INT; sleep 300 & (sleep 300 & (sleep 300 &) ) ; setsid sleep 300 & setsid setsid sleep 300 &"
	for name, c := range map[string]struct {
		last   []string
		cancel string
		change func(*order)
	}{
		"after its end":   {[]string{"result success"}, "", nil},
		"after its death": {[]string{"die"}, "", nil},
		"when cancelled":  {[]string{"until cancel", "die"}, ledger.CancelGraceful, nil},
		"when aborted":    {[]string{"deaf", "hang"}, ledger.CancelAbort, nil},
		"after its time":  {[]string{"deaf", "hang"}, "", ample},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := run(t, redistest.New(t), withTools(t, Limits{Memory: 1 << 30}))
			var changes []func(*order)
			if c.change != nil {
				changes = append(changes, c.change)
			}
			b.put(id, append([]string{"start", "confine", spawn}, c.last...), changes...)
			b.says(id, "group ")
			if c.cancel != "" {
				b.must(b.patient.Cancel(t.Context(), id, c.cancel))
			}
			_, trace := b.finished(id)
			group, _ := strconv.Atoi(regexp.MustCompile("group ([0-9]+)").FindStringSubmatch(trace)[1])
			eventually.Is(t, "the group is gone", func() bool { return errors.Is(syscall.Kill(-group, 0), syscall.ESRCH) })
			b.clean()
			if left := processesBelow(t, b.Toolbox[0]); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

// processesBelow lists the processes that run a program of dir.
func processesBelow(t *testing.T, dir string) []string {
	t.Helper()
	exes, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, exe := range exes {
		if to, err := os.Readlink(exe); err == nil && strings.HasPrefix(to, dir) {
			out = append(out, exe)
		}
	}
	return out
}

// TestTheFirstMeasureComesInTime: not before the interval, and not much later.
func TestAJobWithinItsLimitsIsLeftAlone(t *testing.T) {
	t.Parallel()
	b := run(t, redistest.New(t), withTools(t, Limits{Scratch: 4 << 20, Memory: 1 << 30}))
	began := time.Now()
	b.put(id, []string{"start", "confine", "sh head -c 3000000 /dev/zero > f; for i in 1 2 3 4 5 6 7 8 9; do sleep 5 & done; sleep 2.5", "result success"})
	if res, trace := b.finished(id); res != success || time.Since(began) < 2*time.Second {
		t.Errorf("%+v, %q after %s", res, trace, time.Since(began))
	}
}

func TestSizesAreRoundedUp(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0 bytes", 1023: "1023 bytes", 1 << 20: "1 MiB", 1<<20 + 1: "1.1 MiB", 2 << 30: "2 GiB", 1 << 50: "1024 TiB"} {
		if got := size(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func TestOnlyTheDumpOfAKnownFaultIsLeftOut(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 3*maxLine)
	for in, want := range map[string]struct{ out, fault string }{
		"a\nb":                                 {"a\nb", ""},
		long + "\ny":                           {long + "\ny", ""},
		"panic: x\n\ngoroutine 1 [running]:\n": {"panic: x\n\ngoroutine 1 [running]:\n", ""},
		"E1 before\nruntime: goroutine stack exceeds 1-byte limit\nfatal error: stack overflow\n\ngoroutine 1\n": {"E1 before\n", stackFault},
		"fatal error: runtime: out of memory\n\ngoroutine 1\n":                                                   {"", memoryFault},
	} {
		for _, piece := range []int{1, 7, len(in)} {
			var got strings.Builder
			l := ownOutput{to: &got}
			for rest := in; rest != ""; {
				n := min(piece, len(rest))
				fmt.Fprint(&l, rest[:n])
				rest = rest[n:]
			}
			l.pass()
			if got.String() != want.out || l.fault != want.fault {
				t.Errorf("%q: %q, %q", in, got.String(), l.fault)
			}
		}
	}
}

// TestLimitsReachTheProcess: a limit that is not handed on protects nobody.
func TestLimitsReachTheProcess(t *testing.T) {
	t.Parallel()
	w := &Worker{Config: Config{Slots: 10, Limits: Limits{Scratch: 1, Memory: 2}}}
	if l := w.limits(); l.FileSize != 1 || l.Memory != 2 || l.Processes != 2*maxProcesses+10*threadsPerSlot {
		t.Errorf("%+v", l)
	}
	_ = job.Spec{Limits: w.limits()}
}
