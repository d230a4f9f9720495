package scenarios

import (
	"context"
	"strings"
	"testing"

	"github.com/towline/towline/e2e/rig"
)

// release is two replicas of each service behind one address each, as the chart
// has them.
type release struct {
	rounds
	policyAt, egressAt *rig.Balancer
	policies, tunnels  []*rig.Service
	runners            []*rig.Service
}

// An upgrade and a rollback replace each replica by one with other settings, one
// after the other as Deployments do, while jobs run and one waits.
func TestUpgradeAndRollbackWhileJobsRun(t *testing.T) {
	r := openRelease(t)
	for _, name := range []string{"towline-next", "towline"} {
		jobs := r.startRound()
		ended := r.roll(name)
		r.finishRound(jobs)
		for range 2 {
			if err := <-ended; err != nil {
				t.Errorf("a runner that was replaced: %v", err)
			}
		}
		jobs = r.startRound()
		r.finishRound(jobs)
		for _, j := range jobs {
			if log := r.log(j.ID); !strings.Contains(log, " on "+name+", system ID") {
				t.Errorf("job %s was not run by the release %s:\n%s", j.Name, name, log)
			}
		}
	}
}

func openRelease(t *testing.T) *release {
	r := &release{policyAt: rig.NewBalancer(t), egressAt: rig.NewBalancer(t)}
	r.scenario = open(t, "rotation", func(s *scenario) {
		policy, egress := freeAddress(t), freeAddress(t)
		r.policyAt.To(policy)
		r.egressAt.To(egress)
		s.opts.Concurrent = 2
		s.opts.PolicyArgs = []string{"--listen=" + policy}
		s.opts.TunnelArgs = []string{"--egress-listen=" + egress, "--policy-url=http://" + r.policyAt.Address}
		s.opts.RunnerArgs = []string{"--policy-url=http://" + r.policyAt.Address, "--egress-address=" + r.egressAt.Address, "--drain-timeout=60s"}
	})
	r.policies = []*rig.Service{r.rig.Policy, r.replica(r.rig.Policy)}
	r.tunnels = []*rig.Service{r.rig.Tunnel, r.replica(r.rig.Tunnel)}
	r.runners = []*rig.Service{r.rig.Runner, r.replica(r.rig.Runner)}
	r.route()
	return r
}

func (r *release) replica(of *rig.Service, settings ...string) *rig.Service {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), jobWithin)
	defer cancel()
	s, err := r.rig.Replica(ctx, of, settings...)
	r.must(err)
	return s
}

// route sends new connections to the replicas there are.
func (r *release) route() {
	r.t.Helper()
	var policies, egresses []string
	for _, s := range r.policies {
		policies = append(policies, strings.TrimPrefix(s.URL, "http://"))
	}
	for _, s := range r.tunnels {
		egress, err := s.Egress(context.Background())
		r.must(err)
		egresses = append(egresses, egress)
	}
	r.policyAt.To(policies...)
	r.egressAt.To(egresses...)
}

// roll replaces every replica. Runners end when their jobs have, and say so to
// ended.
func (r *release) roll(name string) (ended chan error) {
	r.t.Helper()
	ended = make(chan error, len(r.runners))
	for i, old := range r.policies {
		r.policies[i] = r.replica(old)
		r.route()
		r.must(old.Stop())
	}
	for i, old := range r.tunnels {
		r.tunnels[i] = r.replica(old, "--name="+name)
		r.route()
		r.must(old.Stop())
	}
	for i, old := range r.runners {
		r.runners[i] = r.replica(old, "--name="+name)
		go func() { ended <- old.Stop() }()
	}
	return ended
}
