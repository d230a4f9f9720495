package app

import (
	"context"
	"time"

	"github.com/towline/towline/pkg/access"
	"github.com/towline/towline/pkg/gate"
	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/rules"
	"github.com/towline/towline/pkg/service"
)

// ownerRules are the rules of the cluster's owner as the gate asks them. While
// there never were any that can be used, it refuses every request.
type ownerRules struct{ *rules.Watcher }

// Check implements gate.Rules.
func (o ownerRules) Check(_ context.Context, c *grant.Claims, r access.Request) error {
	set, _, err := o.Current()
	if err != nil {
		return rules.ErrUnusable // why is in the runner's log, and nothing for a job
	}
	return set.Request(c, r, time.Now())
}

// watchRules makes the watcher of --rules; without the flag the gate has no
// rules to ask and there is no stage.
func (r *runner) watchRules() (gate.Rules, []service.Stage) {
	if r.cfg.rules == "" {
		return nil, nil
	}
	w := rules.NewWatcher(r.cfg.rules, rules.Reporter(r.health.Link("rules"), r.log))
	return ownerRules{w}, []service.Stage{{Name: "rules", Run: w.Run}}
}
