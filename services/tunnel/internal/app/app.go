package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/certs"
	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/policyapi"
	"github.com/towline/towline/pkg/retry"
	"github.com/towline/towline/pkg/seal"
	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/services/tunnel/internal/egress"
	"github.com/towline/towline/services/tunnel/internal/gitlab"
	"github.com/towline/towline/services/tunnel/internal/intake"
	"github.com/towline/towline/services/tunnel/internal/report"
	"github.com/towline/towline/services/tunnel/internal/router"
	"github.com/towline/towline/services/tunnel/internal/sources"
	"github.com/towline/towline/services/tunnel/internal/syncs"
)

const (
	policyTimeout = 10 * time.Second
)

// Run is the tunnel.
func Run(ctx context.Context, args []string, getenv func(string) string, out io.Writer) error {
	cfg, err := parse(args, getenv, out)
	if err != nil {
		return err
	}
	log, err := service.NewLogger(out, "tunnel", cfg.logFormat, cfg.logLevel)
	if err != nil {
		return err
	}
	t, err := build(cfg, getenv, log)
	if err != nil {
		return err
	}
	return t.run(ctx)
}

// tunnel is everything the process consists of.
type tunnel struct {
	cfg     *settings
	log     *slog.Logger
	metrics *prometheus.Registry
	health  *service.Health
	links   struct{ gitlab, redis, policy *service.Link }

	client  *gitlab.Client
	box     *seal.Box
	ledger  *ledger.Ledger
	policy  *http.Client
	sources *sources.Configuration // nil without --config-token-file
	keeper  *report.Keeper
	poller  *intake.Poller
	router  *router.Source // nil without --job-router
	egress  *egress.Proxy
	local   *agentconfig.Watcher // the local configuration, for gitops; else nil
	syncs   *syncs.Keeper        // nil without --gitops
	expiry  *expiry              // of the runner token
}

func build(cfg *settings, getenv func(string) string, log *slog.Logger) (*tunnel, error) {
	t := &tunnel{cfg: cfg, log: log, metrics: service.NewRegistry(), health: service.NewHealth(log)}
	t.links.gitlab, t.links.redis, t.links.policy = t.health.Link("gitlab"), t.health.Link("redis"), t.health.Link("policy")
	trust, err := certs.ForServices(cfg.caFile)
	if err != nil {
		return nil, err
	}
	t.policy = &http.Client{Timeout: policyTimeout, Transport: trust.Transport()}
	token, err := cfg.runnerToken(getenv, log)
	if err != nil {
		return nil, err
	}
	transport, err := gitlabTransport(cfg.gitlabCAFile)
	if err != nil {
		return nil, err
	}
	t.client, err = gitlab.New(gitlab.Config{
		URL: cfg.gitlabURL, Token: token, Version: service.Version, Name: cfg.name,
		HTTP: &http.Client{Transport: gitlab.Logged(transport, log)}, LongPoll: cfg.longPoll, Cache: cfg.cache,
	})
	if err != nil {
		return nil, err
	}
	if t.box, err = seal.Load(cfg.sealKeyFile); err != nil {
		return nil, fmt.Errorf("--seal-key-file: %w", err)
	}
	rdb, err := cfg.redis.Open()
	if err != nil {
		return nil, err
	}
	t.ledger = ledger.New(rdb, cfg.redisPrefix)
	t.expiry = newExpiry(t.health, t.metrics)
	t.buildSources()
	t.buildJobs()
	t.buildRouter(token, transport)
	t.buildSyncs()
	return t, t.buildEgress()
}

func (t *tunnel) buildSources() {
	if t.cfg.configTokenFile == "" {
		return
	}
	project, agent, _ := strings.Cut(t.cfg.agent, ":")
	t.sources = &sources.Configuration{
		Files: t.client, Token: func() (string, error) { return readToken(t.cfg.configTokenFile) },
		Project: project, Agent: agent, Every: t.cfg.configInterval,
		Link: t.health.Link("configuration"), Log: t.log, Metrics: sources.NewMetrics(t.metrics),
		Optional: t.cfg.configOptional,
	}
}

func (t *tunnel) buildJobs() {
	name := service.ReplicaName()
	admission := &intake.Admission{
		GitLab: t.client, Keys: sources.NewKeys(t.client, t.log), Ledger: t.ledger, Seal: t.box, Log: t.log,
		Policy: t.decider(),
		Configuration: func() (*policyapi.Configuration, error) {
			if t.sources == nil {
				return nil, nil
			}
			return t.sources.Known()
		},
		Name: t.cfg.name, SystemID: t.client.SystemID(), GitLabURL: t.client.URL(),
	}
	t.keeper = report.NewKeeper(report.Config{
		GitLab: t.client, Ledger: t.ledger, Seal: t.box, Admit: admission, Tunnel: name,
		Wait: t.cfg.queueWait, Log: t.log, Metrics: report.NewMetrics(t.metrics),
	})
	t.poller = &intake.Poller{
		GitLab: t.client, Ledger: t.ledger, Seal: t.box, Tunnel: name, Every: t.cfg.pollInterval,
		Ready: t.ready, Credential: t.client.Credential, Taken: t.keeper.Adopt, Link: t.links.gitlab, Log: t.log,
	}
}

// decider asks policy.
func (t *tunnel) decider() *policyapi.Client {
	return policyapi.NewClient(t.cfg.policyURL, func() (string, error) { return readToken(t.cfg.serviceTokenFile) }, t.policy)
}

// buildRouter puts the job router in front of the API.
func (t *tunnel) buildRouter(token func() string, transport http.RoundTripper) {
	if !t.cfg.jobRouter {
		return
	}
	t.router = &router.Source{
		GitLab: t.client, Token: token, HTTP: &http.Client{Transport: transport}, UserAgent: t.client.UserAgent(),
		LongPoll: t.cfg.longPoll, Log: t.log,
	}
	t.poller.GitLab = t.router
}

func (t *tunnel) buildEgress() error {
	allowed, err := t.cfg.allowedHosts()
	if err != nil {
		return err
	}
	keys := grant.NewRemoteKeys(strings.TrimRight(t.cfg.policyURL, "/")+policyapi.PathJWKS, t.policy)
	t.egress = &egress.Proxy{Verifier: grant.NewVerifier(keys), Revocations: t.ledger, Allowed: allowed, Dial: egress.Upstream(http.ProxyFromEnvironment), Log: t.log}
	return nil
}

// ready says whether jobs may be taken: without policy, or without the
// configuration if it is to come from GitLab, none could be decided.
func (t *tunnel) ready() bool {
	r := t.health.Report()
	known := t.sources == nil
	if !known {
		_, err := t.sources.Known()
		known = err == nil
	}
	return known && r.Links["redis"] == "up" && r.Links["policy"] == "up"
}

// run starts the parts in order and stops them in reverse.
func (t *tunnel) run(ctx context.Context) error {
	admin, err := service.Listen(ctx, "listen", t.cfg.listen)
	if err != nil {
		return err
	}
	proxy, err := service.Listen(ctx, "egress-listen", t.cfg.egressListen)
	if err != nil {
		return errors.Join(err, admin.Close())
	}
	if proxy, err = certs.Listener(proxy, t.cfg.tlsCertFile, t.cfg.tlsKeyFile); err != nil {
		return errors.Join(err, admin.Close())
	}
	router := service.NewRouter(t.health, t.metrics, t.log)
	stages := []service.Stage{
		{Name: "health", Run: func(ctx context.Context) error { return service.Serve(ctx, admin, router, t.log) }},
		{Name: "redis", Run: func(ctx context.Context) error { return t.links.redis.Watch(ctx, t.ledger.Ping) }},
		{Name: "policy", Run: func(ctx context.Context) error { return t.links.policy.Watch(ctx, t.askPolicy) }},
		{Name: "seal keys", Run: func(ctx context.Context) error { return t.box.Run(ctx, t.log) }},
		{Name: "egress", Run: t.serveEgress(ctx, proxy)},
		{Name: "report", Run: t.keeper.Run},
	}
	if t.sources != nil {
		stages = append(stages, service.Stage{Name: "configuration", Run: t.sources.Run})
	}
	stages = append(stages, t.syncStages()...)
	stages = append(stages, service.Stage{Name: "intake", Run: t.takeJobs})
	t.log.Info("tunnel starts", "version", service.Version, "gitlab", t.client.URL(), "agent", t.cfg.agent, "system_id", t.client.SystemID(),
		"listen", admin.Addr().String(), "egress", proxy.Addr().String())
	return service.RunStages(ctx, stages...)
}

// serveEgress drains for a time that counts from the end of process, whatever
// the stages that end before have taken of it: the grace period counts so too.
func (t *tunnel) serveEgress(process context.Context, l net.Listener) func(context.Context) error {
	return func(ctx context.Context) error {
		soon, stop := service.Later(context.WithoutCancel(ctx), process, egress.DrainFor)
		defer stop()
		over, stop := service.Later(soon, ctx, egress.DrainFor) // another stage failed
		defer stop()
		return t.egress.Serve(ctx, over, l)
	}
}

// takeJobs polls for jobs once GitLab has accepted the token. A refused token
// is asked about again, ever more slowly: it may be replaced in its file.
func (t *tunnel) takeJobs(ctx context.Context) error {
	loop := retry.Policy{Min: 2 * time.Second, Max: time.Minute}
	accepted := loop.Loop(ctx, func(ctx context.Context) retry.Result {
		known, why := t.client.Verify(ctx)
		if known.Outcome == gitlab.VerifyAccepted {
			t.links.gitlab.Up()
			t.expiry.note(t.client.Credential(), known.Expires, time.Now())
			return retry.Result{Outcome: retry.Done}
		}
		if ctx.Err() == nil {
			t.links.gitlab.Down(why)
		}
		return retry.Result{Outcome: retry.Failed, After: gitlab.After(why)}
	})
	if !accepted {
		return nil
	}
	if t.router != nil {
		defer t.router.Close()
	}
	var watching sync.WaitGroup
	defer watching.Wait()
	watching.Go(func() { t.expiry.watch(ctx, t.client) })
	return t.poller.Run(ctx)
}

func (t *tunnel) askPolicy(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(t.cfg.policyURL, "/")+"/readyz", nil)
	if err != nil {
		return errors.New("--policy-url is not an address")
	}
	resp, err := t.policy.Do(req)
	if err != nil {
		return fmt.Errorf("policy at %s does not answer; no jobs are taken meanwhile", t.cfg.policyURL)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("policy at %s is not ready (its log says why); no jobs are taken meanwhile", t.cfg.policyURL)
	}
	return nil
}

// gitlabTransport trusts the file's authorities beside the system's, as they are
// when a connection is made.
func gitlabTransport(caFile string) (http.RoundTripper, error) {
	if caFile == "" {
		return certs.Outward(), nil
	}
	trust, err := certs.Beside(caFile)
	if err != nil {
		return nil, fmt.Errorf("--gitlab-ca-file: %w", err)
	}
	return trust.Outside(), nil
}
