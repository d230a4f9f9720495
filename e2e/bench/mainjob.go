package main

import (
	"context"
	"fmt"
	"time"
)

// Goals of the main job.
const (
	goalFinal     = 0.3 // of the same commands by hand, Git fetch included
	goalFirstByte = 150 // ms
)

// measureJob runs the project's own job, two `kubectl apply` of unchanged
// objects, under Towline and by hand. The ways take turns, so that a change of
// the machine's load meets all of them.
func measureJob(ctx context.Context, s *site, o options, r *report) error {
	if err := s.pushProject(ctx); err != nil {
		return err
	}
	var first, final, script, checkout []time.Duration
	for n := range o.runs + 1 {
		a, err := s.towline(ctx)
		if err != nil {
			return err
		}
		b, err := s.bash(ctx, s.project, mainScript)
		if err != nil {
			return err
		}
		c, err := s.checkedOut(ctx)
		if err != nil {
			return err
		}
		if n > 0 {
			first, final, script, checkout = append(first, a.firstByte), append(final, a.final), append(script, b.took), append(checkout, c.took)
		}
	}
	byHand := median(checkout)
	r.table(fmt.Sprintf("The main job, median of %d runs (two `kubectl apply` of unchanged objects):", o.runs), []row{
		{"bash with real kubectl processes, script alone", median(script), byHand},
		{"the same after a Git fetch by hand", byHand, byHand},
		{"Towline, handed out -> first log byte in GitLab", median(first), byHand},
		{"Towline, handed out -> final state in GitLab (with Git fetch, policy, log)", median(final), byHand},
	})
	r.atMost("main job to the final state, of the same by hand", ratio(median(final), byHand), goalFinal)
	r.atMost("first log byte after hand-out, ms", float64(median(first).Microseconds())/1000, goalFirstByte)
	return nil
}

const mainScript = `set -eo pipefail
echo "Deploying application..."
kubectl apply -f k8s/deployment.yaml
kubectl apply -f k8s/service.yaml
`

// fetchScript is what get_sources does, by hand.
const fetchScript = `set -e
git init -q .
git fetch -q --depth 20 "$URL" main
git checkout -q FETCH_HEAD
`
