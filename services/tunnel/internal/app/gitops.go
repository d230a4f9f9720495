package app

import (
	"strings"
	"sync"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/policyapi"
	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/services/tunnel/internal/syncs"
)

func (t *tunnel) buildSyncs() {
	if !t.cfg.gitops {
		return
	}
	project, agent, _ := strings.Cut(t.cfg.agent, ":")
	entries := t.repositoryEntries(project)
	if t.sources == nil {
		t.local = agentconfig.NewWatcher(t.cfg.config, agentconfig.Options{AllowToken: true}, t.localChanged)
		entries = func() (agentconfig.GitOps, *policyapi.Configuration) {
			if now := t.local.Current().Loaded; now != nil {
				return now.Config.Syncs(project), nil
			}
			return agentconfig.GitOps{}, nil
		}
	}
	t.syncs = syncs.New(syncs.Config{
		GitLab: t.client, Policy: t.decider(), Ledger: t.ledger, Seal: t.box, Token: t.cfg.tokenFor,
		Entries: entries, Tunnel: service.ReplicaName(), Agent: agent, Page: t.client.AgentPage(project, agent), Every: t.cfg.gitopsInterval, Log: t.log, Metrics: syncs.NewMetrics(t.metrics),
	})
}

// repositoryEntries reads the entries of each revision of the configuration
// once.
func (t *tunnel) repositoryEntries(project string) func() (agentconfig.GitOps, *policyapi.Configuration) {
	var mu sync.Mutex
	var of *policyapi.Configuration
	var entries agentconfig.GitOps
	return func() (agentconfig.GitOps, *policyapi.Configuration) {
		now := t.sources.Current()
		mu.Lock()
		defer mu.Unlock()
		if now == nil || now == of {
			return entries, of
		}
		cfg, _, err := now.Files().Parse(agentconfig.Options{})
		if err != nil {
			return entries, of // only what can be read is ever in force
		}
		of, entries = now, cfg.Syncs(project)
		return entries, of
	}
}

// localChanged logs why the local configuration is not in force; what is in
// force policy logs.
func (t *tunnel) localChanged(e agentconfig.Event) {
	if e.Err != nil {
		t.log.Error("the entries of gitops cannot be read; those read before stay in force", service.Err(e.Err))
	}
}

// syncStages are the parts that gitops adds.
func (t *tunnel) syncStages() []service.Stage {
	var stages []service.Stage
	if t.local != nil {
		stages = append(stages, service.Stage{Name: "local configuration", Run: t.local.Run})
	}
	if t.syncs != nil {
		stages = append(stages, service.Stage{Name: "gitops", Run: t.syncs.Run})
	}
	return stages
}
