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

// Goals of many small jobs. gitlab-runner's shell executor did 175 jobs a minute
// on a machine of this size, with 0.53 CPU seconds each.
const (
	concurrency      = 8
	shellExecutorJPM = 175
	goalTimesFaster  = 6
	goalCPU          = 0.1 // seconds per job, tunnel, policy and runner together
)

const smallJob = `deploy:
  tags: [` + agentName + `]
  script:
    - echo "job $CI_JOB_ID of $CI_PROJECT_PATH"
    - 'test -n "$CI_COMMIT_SHA" && echo "at $CI_COMMIT_SHORT_SHA"'
  environment: {name: ` + environment + `}
`

// measureJobs runs many small jobs and counts the CPU time of the services, job
// processes included.
func measureJobs(ctx context.Context, s *site, o options, r *report) error {
	if err := s.push(ctx, map[string]string{".gitlab-ci.yml": smallJob}); err != nil {
		return err
	}
	if _, err := s.towline(ctx); err != nil { // the configuration of this commit
		return err
	}
	before, err := s.cpu()
	if err != nil {
		return err
	}
	began := time.Now()
	ids := make([]int64, o.jobs)
	for n := range ids {
		p, err := s.gitlab.RunPipeline(ctx, sim.PipelineOptions{Project: projectPath})
		if err != nil {
			return err
		}
		ids[n] = p.Jobs[0].ID
	}
	var failed []error
	for _, id := range ids {
		j, err := s.gitlab.Wait(ctx, id)
		if err != nil {
			return err
		}
		if j.Status != sim.Success {
			failed = append(failed, fmt.Errorf("job %d ended as %s (%s)", id, j.Status, j.FailureReason))
		}
	}
	took := time.Since(began)
	if err := errors.Join(failed...); err != nil {
		return err
	}
	after, err := s.cpu()
	if err != nil {
		return err
	}
	fmt.Fprintf(r.out, "\n%d small jobs, at most %d at a time: %.1f s\n\n", o.jobs, concurrency, took.Seconds())
	var total time.Duration
	for n, name := range []string{"tunnel", "policy", "runner", "job processes"} {
		used := after[n] - before[n]
		total += used
		fmt.Fprintf(r.out, "  %-28s %6.1f ms of CPU per job\n", name, float64(used.Microseconds())/1000/float64(o.jobs))
	}
	perMinute := float64(o.jobs) / took.Minutes()
	r.atLeast(fmt.Sprintf("small jobs per minute (%.0f) as a multiple of the shell executor's %d", perMinute, shellExecutorJPM), perMinute/shellExecutorJPM, goalTimesFaster)
	r.atMost("CPU seconds per small job, all services", total.Seconds()/float64(o.jobs), goalCPU)
	return nil
}

// cpu is the CPU time so far of each service, and of the buried children of the
// last, which are the job processes.
func (s *site) cpu() ([4]time.Duration, error) {
	var out [4]time.Duration
	for n, pid := range []int{s.rig.Tunnel.Pid(), s.rig.Policy.Pid(), s.rig.Runner.Pid()} {
		own, buried, err := processCPU(pid)
		if err != nil {
			return out, err
		}
		out[n], out[3] = own, buried
	}
	return out, nil
}

// processCPU reads utime and stime, and those of the children, in ticks of 10 ms.
func processCPU(pid int) (own, buried time.Duration, err error) {
	const (
		tick      = 10 * time.Millisecond
		firstTime = 11 // after the command's closing parenthesis
		times     = 4
	)
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, err
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < firstTime+times {
		return 0, 0, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	var ticks [times]time.Duration
	for i, f := range fields[firstTime : firstTime+times] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, 0, err
		}
		ticks[i] = time.Duration(n) * tick
	}
	return ticks[0] + ticks[1], ticks[2] + ticks[3], nil
}
