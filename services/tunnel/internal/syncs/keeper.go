package syncs

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/policyapi"
	"github.com/towline/towline/pkg/retry"
	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

// GitLab is what is asked of GitLab.
type GitLab interface {
	ProjectID(ctx context.Context, accessToken, project string) (int64, error)
	Commit(ctx context.Context, accessToken, project, ref, etag string) (*gitlab.CommitAt, error)
	Variables(ctx context.Context, accessToken, project string, names []string) ([]gitlab.Variable, error)
	Protected(ctx context.Context, accessToken, project, name string, tag bool) (bool, error)
	Tags(ctx context.Context, accessToken, project string, page int, etag string) (*gitlab.TagPage, error)
	Directories(ctx context.Context, accessToken, project, commit string) ([]byte, error)
	Archive(ctx context.Context, accessToken, project, commit, path string) ([]byte, error)
	Includes(ctx context.Context, accessToken, project, later, commit string) (bool, error)
	SetCommitStatus(ctx context.Context, accessToken string, project int64, commit string, s gitlab.CommitStatus) error
	DefaultBranch(ctx context.Context, accessToken, project string) (string, error)
	CreateDeployment(ctx context.Context, accessToken string, project int64, d gitlab.Deployment) (int64, error)
	UpdateDeployment(ctx context.Context, accessToken string, project, deployment int64, status string) error
}

// Policy decides about syncs.
type Policy interface {
	DecideSync(ctx context.Context, e policyapi.SyncEvidence, conf *policyapi.Configuration) (*policyapi.Decision, error)
}

// Config is what a Keeper needs. All of it is required.
type Config struct {
	GitLab GitLab
	Policy Policy
	Ledger *ledger.Ledger
	Seal   ledger.Sealer
	// Token is what reads a project, and which setting it comes from.
	Token func(project string) (token, origin string, err error)
	// Entries are those of the configuration in force, and that configuration as
	// policy is sent it: nil when policy has its own.
	Entries func() (agentconfig.GitOps, *policyapi.Configuration)
	Tunnel  string        // this replica
	Agent   string        // name, shown in commit statuses
	Page    string        // address of the agent in GitLab, where commit statuses lead
	Every   time.Duration // pause between looks at a ref
	Log     *slog.Logger
	Metrics *Metrics
}

const (
	followFor = 15 * time.Second
	readEvery = time.Second
)

// Keeper follows all entries. Make it with New.
type Keeper struct {
	Config
	turns    turns
	commits  answers[gitlab.CommitAt]
	tagLists answers[tagList]

	mu        sync.Mutex
	followers map[string]*follower
	parted    map[string]*follower // whose entries are gone
	wishes    map[string]time.Time // when a wish was heard last
}

// New returns a Keeper; it starts nothing.
func New(c Config) *Keeper {
	return &Keeper{
		Config: c, turns: newTurns(), commits: answers[gitlab.CommitAt]{all: map[looked]*shared[gitlab.CommitAt]{}}, tagLists: answers[tagList]{all: map[looked]*shared[tagList]{}},
		followers: map[string]*follower{}, parted: map[string]*follower{}, wishes: map[string]time.Time{},
	}
}

// Run follows the entries of the configuration until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	listen := func(hear func(context.Context) error) {
		loop := retry.Policy{Idle: time.Second, Min: time.Second, Max: time.Minute}
		loop.Loop(ctx, func(ctx context.Context) retry.Result {
			_ = hear(ctx)
			return retry.Result{Outcome: retry.Failed}
		})
	}
	running.Go(func() { listen(func(ctx context.Context) error { return k.Ledger.Synced(ctx, k.wake) }) })
	running.Go(func() { listen(func(ctx context.Context) error { return k.Ledger.Wished(ctx, k.wish) }) })
	running.Go(func() { k.removals(ctx) })
	for {
		k.settle(ctx, &running)
		if !retry.Sleep(ctx, readEvery) {
			return nil
		}
	}
}

// settle starts and stops followers so that there is one for each entry.
func (k *Keeper) settle(ctx context.Context, running *sync.WaitGroup) {
	now, _ := k.Entries()
	k.mu.Lock()
	defer k.mu.Unlock()
	wanted := map[string]bool{}
	for _, m := range now.Manifests {
		wanted[m.Name] = true
		text, err := json.Marshal(identified{m, m.AccessAs.Impersonate})
		if err != nil {
			continue // our own types always marshal
		}
		f := k.followers[m.Name]
		if f != nil && f.text == string(text) {
			continue
		}
		if f != nil {
			f.stop()
		}
		fctx, stop := context.WithCancel(ctx)
		next := &follower{Keeper: k, entry: m, text: string(text), stop: stop, woken: make(chan struct{}, 1), done: make(chan struct{})}
		previous := f
		if previous == nil {
			previous = k.parted[m.Name]
		}
		delete(k.parted, m.Name)
		k.followers[m.Name] = next
		running.Go(func() {
			defer close(next.done)
			if previous != nil {
				<-previous.done
			}
			next.run(fctx)
		})
	}
	for name, f := range k.followers {
		if !wanted[name] {
			k.sayGone(f.entry)
			k.parted[name] = f
			k.Metrics.forget(name)
			f.gone.Store(true)
			f.stop()
			delete(k.followers, name)
			delete(k.wishes, name)
		}
	}
}

func (k *Keeper) sayGone(m agentconfig.Manifests) {
	what := "entry is gone from the configuration; what it applied stays"
	if goesToo(m) {
		what = "entry is gone from the configuration; its release is uninstalled"
	}
	k.Log.Info(what, service.KeyEntry, m.Name) //nolint:sloglint // one of two constants
}

// leaving says whether a follower of an entry that is gone is still at work.
func (k *Keeper) leaving(name string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	f := k.parted[name]
	if f == nil {
		return false
	}
	select {
	case <-f.done:
		delete(k.parted, name)
		return false
	default:
		return true
	}
}

// identified is an entry with all that makes it another one.
type identified struct {
	agentconfig.Manifests
	Impersonate *agentconfig.Impersonate
}

func (k *Keeper) wake(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if f := k.followers[name]; f != nil {
		select {
		case f.woken <- struct{}{}:
		default:
		}
	}
}
