package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	sim "github.com/towline/towline/e2e/gitlabsim"
)

// Goals of memory, in MiB.
const (
	goalIdle    = 80
	goalPrivate = 40
	settle      = 3 * time.Second // until the services are idle
)

const sleepingJob = `deploy:
  tags: [` + agentName + `]
  script:
    - kubectl get configmaps -o name >/dev/null
    - echo "bench:ready"
    - sleep 6
  environment: {name: ` + environment + `, kubernetes: {namespace: ` + namespace + `}}
`

// measureMemory looks at the runner at rest and at its job processes at work.
func measureMemory(ctx context.Context, s *site, _ options, r *report) error {
	if err := s.push(ctx, map[string]string{".gitlab-ci.yml": sleepingJob}); err != nil {
		return err
	}
	if err := pause(ctx, settle); err != nil {
		return err
	}
	runner := s.rig.Runner.Pid()
	idle, err := smaps(runner, "Pss")
	if err != nil {
		return err
	}
	warm, err := children(runner)
	if err != nil {
		return err
	}
	var warmPrivate float64
	for _, pid := range warm {
		p, err := private(pid)
		if err != nil {
			return err
		}
		warmPrivate += p
	}
	working, err := s.workingPrivate(ctx, runner)
	if err != nil {
		return err
	}
	resident, err := smaps(runner, "Rss")
	if err != nil {
		return err
	}
	fmt.Fprintf(r.out, "\nMemory of the runner:\n\n  at rest %.1f MiB (proportional), %.1f MiB resident, %d warm processes with %.1f MiB of their own together\n", idle, resident, len(warm), warmPrivate)
	r.atMost("idle runner with its warm processes, MiB", idle+warmPrivate, goalIdle)
	r.atMost("private memory of a running job, MiB (largest)", working, goalPrivate)
	return nil
}

// workingPrivate is the largest private memory of a job process at work.
func (s *site) workingPrivate(ctx context.Context, runner int) (float64, error) {
	var ids []int64
	for range concurrency {
		p, err := s.gitlab.RunPipeline(ctx, sim.PipelineOptions{Project: projectPath})
		if err != nil {
			return 0, err
		}
		ids = append(ids, p.Jobs[0].ID)
	}
	for _, id := range ids {
		if err := s.gitlab.WaitTrace(ctx, id, "bench:ready"); err != nil {
			return 0, err
		}
	}
	pids, err := children(runner)
	if err != nil {
		return 0, err
	}
	var most float64
	for _, pid := range pids {
		p, err := private(pid)
		if err != nil {
			return 0, err
		}
		most = max(most, p)
	}
	for _, id := range ids {
		if j, err := s.gitlab.Wait(ctx, id); err != nil || j.Status != sim.Success {
			return 0, fmt.Errorf("job %d ended as %s: %w", id, j.Status, errors.Join(err))
		}
	}
	return most, nil
}

// children are the processes that pid has started.
func children(pid int) ([]int, error) {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return nil, err
	}
	var out []int
	for _, t := range tasks {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, t.Name()))
		if err != nil {
			continue // a thread that has ended
		}
		for f := range strings.FieldsSeq(string(b)) {
			n, err := strconv.Atoi(f)
			if err != nil {
				return nil, err
			}
			out = append(out, n)
		}
	}
	return out, nil
}

// private is the memory that would be free again without the process, in MiB.
func private(pid int) (float64, error) {
	clean, err := smaps(pid, "Private_Clean")
	if err != nil {
		return 0, err
	}
	dirty, err := smaps(pid, "Private_Dirty")
	return clean + dirty, err
}

// smaps reads a sum over a process's mappings, in MiB.
func smaps(pid int, key string) (float64, error) {
	const kibPerMiB = 1024
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if value, ok := strings.CutPrefix(line, key+":"); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 64)
			return n / kibPerMiB, err
		}
	}
	return 0, fmt.Errorf("no %s for process %d", key, pid)
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
