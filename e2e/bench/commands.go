package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	sim "github.com/towline/towline/e2e/gitlabsim"
)

// Goals of single commands in a warm job, as multiples of the process's speed.
const (
	goalApply     = 20
	goalDirectory = 15
)

// Marks in the output of a script that is timed line by line.
const (
	markBegin = "bench:begin"
	markEnd   = "bench:end"
)

// measureApply times `kubectl apply` of one unchanged Deployment.
func measureApply(ctx context.Context, s *site, o options, r *report) error {
	files := map[string]string{"deployment.yaml": deployment("bench-apply")}
	in, byHand, err := s.compare(ctx, files, "kubectl apply -f deployment.yaml", o.runs)
	if err != nil {
		return err
	}
	r.table(fmt.Sprintf("`kubectl apply` of one unchanged Deployment, median of %d:", o.runs), []row{
		{"kubectl process", byHand, byHand}, {"in a warm job", in, byHand},
	})
	r.atLeast("kubectl apply in a warm job, times faster", ratio(byHand, in), goalApply)
	return nil
}

// measureHelm times `helm upgrade --install` of an unchanged chart.
func measureHelm(ctx context.Context, s *site, o options, r *report) error {
	files := map[string]string{
		"chart/Chart.yaml":                "apiVersion: v2\nname: shop\nversion: 1.0.0\n",
		"chart/values.yaml":               "colour: green\n",
		"chart/templates/configmap.yaml":  "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\ndata:\n  colour: {{ .Values.colour }}\n",
		"chart/templates/deployment.yaml": deployment("{{ .Release.Name }}"),
	}
	in, byHand, err := s.compare(ctx, files, "helm upgrade --install bench-helm ./chart | grep STATUS", o.runs)
	if err != nil {
		return err
	}
	r.table(fmt.Sprintf("`helm upgrade --install` of a chart with two objects, median of %d:", o.runs), []row{
		{"helm process", byHand, byHand}, {"in a warm job", in, byHand},
	})
	return nil
}

// measureDirectory times `kubectl apply -f DIR` of many unchanged objects, once
// each: the process takes about a minute.
func measureDirectory(ctx context.Context, s *site, _ options, r *report) error {
	files := objects()
	in, byHand, err := s.compare(ctx, files, "kubectl apply -f objects | wc -l", 1)
	if err != nil {
		return err
	}
	r.table(fmt.Sprintf("`kubectl apply -f DIR` of %d unchanged objects:", manyObjects), []row{
		{"kubectl process", byHand, byHand}, {"in a warm job", in, byHand},
	})
	r.atLeast("kubectl apply -f DIR in a warm job, times faster", ratio(byHand, in), goalDirectory)
	return nil
}

// compare runs a command, which prints one line, runs times in a job and by
// hand, each after one run that does not count, and returns the medians.
func (s *site) compare(ctx context.Context, files map[string]string, command string, runs int) (in, byHand time.Duration, err error) {
	loop := fmt.Sprintf("for i in $(seq %d); do %s; done", runs, command)
	lines := []string{command, "echo " + markBegin, loop, "echo " + markEnd}
	files[".gitlab-ci.yml"] = jobOf(lines)
	if err := s.push(ctx, files); err != nil {
		return 0, 0, err
	}
	job, err := s.runJob(ctx)
	if err != nil {
		return 0, 0, err
	}
	log, err := s.gitlab.Log(ctx, job.ID)
	if err != nil {
		return 0, 0, err
	}
	var stamps []stamp
	for _, l := range log.Lines {
		stamps = append(stamps, stamp{l.At, l.Text})
	}
	steps, err := between(stamps)
	if err != nil {
		return 0, 0, fmt.Errorf("log of the job: %w", err)
	}
	in = median(steps)

	dir, err := os.MkdirTemp(s.dir, "byhand-")
	if err != nil {
		return 0, 0, err
	}
	defer os.RemoveAll(dir)
	if err := write(dir, files); err != nil {
		return 0, 0, err
	}
	ran, err := s.bash(ctx, dir, "set -eo pipefail\n"+strings.Join(lines, "\n")+"\n")
	if err != nil {
		return 0, 0, err
	}
	if steps, err = between(ran.lines); err != nil {
		return 0, 0, err
	}
	return in, median(steps), nil
}

// jobOf is a .gitlab-ci.yml with one job.
func jobOf(lines []string) string {
	var b strings.Builder
	b.WriteString("deploy:\n  tags: [" + agentName + "]\n  script:\n")
	for _, l := range lines {
		fmt.Fprintf(&b, "    - |\n      %s\n", l)
	}
	b.WriteString("  environment: {name: " + environment + ", kubernetes: {namespace: " + namespace + "}}\n")
	return b.String()
}

// stamp is a line of output and when it came.
type stamp struct {
	at   time.Time
	text string
}

// between are the times from line to line between the marks.
func between(lines []stamp) ([]time.Duration, error) {
	var out []time.Duration
	var last time.Time
	for _, l := range lines {
		switch {
		case l.text == markBegin:
			last = l.at
		case l.text == markEnd:
			if len(out) == 0 {
				return nil, errors.New("nothing was printed between the marks")
			}
			return out, nil
		case last.IsZero() || strings.HasPrefix(l.text, "$ "): // not yet, or the echo of a command
		default:
			out, last = append(out, l.at.Sub(last)), l.at
		}
	}
	return nil, errors.New("the marks are not there")
}

func write(dir string, files map[string]string) error {
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// runJob runs the pipeline of what was pushed last.
func (s *site) runJob(ctx context.Context) (sim.Job, error) {
	ctx, cancel := context.WithTimeout(ctx, jobWithin)
	defer cancel()
	p, err := s.gitlab.RunPipeline(ctx, sim.PipelineOptions{Project: projectPath})
	if err != nil {
		return sim.Job{}, err
	}
	j, err := s.gitlab.Wait(ctx, p.Jobs[0].ID)
	if err != nil {
		return j, err
	}
	if j.Status != sim.Success || !j.Checksum.Equal {
		log, _ := s.gitlab.Trace(ctx, j.ID)
		return j, fmt.Errorf("job %d ended as %s (%s)\n%s", j.ID, j.Status, j.FailureReason, log)
	}
	return j, nil
}
