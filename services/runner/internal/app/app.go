package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/towline/towline/pkg/certs"
	"github.com/towline/towline/pkg/gate"
	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/policyapi"
	"github.com/towline/towline/pkg/seal"
	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/services/runner/internal/audit"
	"github.com/towline/towline/services/runner/internal/inquiry"
	"github.com/towline/towline/services/runner/internal/relay"
	"github.com/towline/towline/services/runner/internal/sandbox"
	"github.com/towline/towline/services/runner/internal/syncer"
	"github.com/towline/towline/services/runner/internal/workdir"
	"github.com/towline/towline/services/runner/internal/worker"
)

// JobCommand is the argument with which the binary becomes a job process.
const JobCommand = "job"

// SyncCommand is the argument with which the binary becomes a sync process.
const SyncCommand = "sync"

const (
	checkTimeout = 5 * time.Second
)

// Run is the runner.
func Run(ctx context.Context, args []string, getenv func(string) string, out io.Writer) error {
	if len(args) > 0 && args[0] == ToolboxCommand {
		return toolboxMain(args[1:], getenv, out)
	}
	if len(args) > 0 && args[0] == SelfCheckCommand {
		return selfCheckMain(ctx, args[1:], getenv, out)
	}
	cfg, err := parse(args, getenv, out)
	if err != nil {
		return err
	}
	log, err := service.NewLogger(out, "runner", cfg.logFormat, cfg.logLevel)
	if err != nil {
		return err
	}
	r, err := build(ctx, cfg, log)
	if err != nil {
		return err
	}
	return r.run(ctx)
}

// runner is everything the process consists of.
type runner struct {
	cfg     *settings
	log     *slog.Logger
	metrics *prometheus.Registry
	health  *service.Health
	api     *rest.Config
	trust   *certs.Trust // nil: the system's
	http    *http.Client
	box     *seal.Box
	ledger  *ledger.Ledger
	trail   *audit.Trail
	gate    *gate.Gate
	gateL   net.Listener
	rules   []service.Stage // none without --rules
	relay   *relay.Relay
	cache   *caching // nil: none is set up
	work    *workdir.Dir
	worker  *worker.Worker
	syncer  *syncer.Worker
}

func build(ctx context.Context, cfg *settings, log *slog.Logger) (*runner, error) {
	r := &runner{cfg: cfg, log: log, metrics: service.NewRegistry(), health: service.NewHealth(log)}
	if err := r.checkSandbox(); err != nil {
		return nil, err
	}
	err := r.connect()
	if err != nil {
		return nil, err
	}
	if r.api, err = apiConfig(cfg.kubeconfig); err != nil {
		return nil, err
	}
	if err := r.openGate(); err != nil {
		return nil, err
	}
	ca, err := gitCA(cfg.gitCAFile)
	if err != nil {
		return nil, err
	}
	endpoint, err := r.listen(ctx)
	if err != nil {
		return nil, err
	}
	host, _ := os.Hostname()
	replica := service.ReplicaName()
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if err := r.openWork(replica); err != nil {
		return nil, err
	}
	if r.cache, err = r.openCache(ctx, ca); err != nil {
		return nil, err
	}
	workerCache := r.cache.join(&endpoint)
	r.worker = worker.New(worker.Config{
		Ledger: r.ledger, Seal: r.box, Gate: r.gate, Endpoint: endpoint, Runner: replica, Name: cfg.name, Hostname: host,
		Slots: cfg.concurrent, Warm: min(cfg.warm, cfg.concurrent), Command: []string{self, JobCommand}, Dir: r.work.Path, Sandbox: cfg.sandbox,
		Toolbox:  cfg.toolbox,
		Limits:   worker.Limits{Scratch: int64(cfg.scratchLimit), Memory: int64(cfg.memoryLimit)},
		LogLimit: int64(cfg.logLimit), Drain: cfg.drainTimeout, NoDebugTrace: !cfg.debugTrace, FeatureFlags: cfg.featureFlags, GitCA: ca, Cache: workerCache, Desk: &inquiry.Desk{Ledger: r.ledger, Seal: r.box},
		Ready: r.ready, Metrics: worker.NewMetrics(r.metrics), Log: log,
	})
	r.syncer = syncer.New(syncer.Config{
		Ledger: r.ledger, Seal: r.box, Gate: r.gate, GatePort: endpoint.GatePort, CA: endpoint.CA, EgressPort: endpoint.EgressPort, OutsideCA: ca, Runner: replica, Slots: cfg.syncs,
		Command: []string{self, SyncCommand}, Dir: r.work.Path, Sandbox: cfg.sandbox, Limits: r.worker.ProcessLimits(), Ready: r.ready, Log: log,
	})
	return r, nil
}

// connect makes the clients of policy and of Redis, and reads the keys of what
// is sealed there. It dials nothing.
func (r *runner) connect() (err error) {
	if r.trust, err = certs.ForServices(r.cfg.caFile); err != nil {
		return err
	}
	r.http = &http.Client{Timeout: checkTimeout, Transport: r.trust.Transport()}
	if r.box, err = seal.Load(r.cfg.sealKeyFile); err != nil {
		return fmt.Errorf("--seal-key-file: %w", err)
	}
	rdb, err := r.cfg.redis.Open()
	if err != nil {
		return err
	}
	r.ledger = ledger.New(rdb, r.cfg.redisPrefix)
	return nil
}

// openTrail is where the gate's audit records go beside the log.
func (r *runner) openTrail() (*audit.Trail, error) {
	trail, m := audit.New(r.log), audit.NewMetrics(r.metrics)
	trail.To("stream", audit.Stream{Ledger: r.ledger}, m)
	if r.cfg.auditWebhook != "" {
		hook, err := audit.NewWebhook(r.cfg.auditWebhook, r.cfg.auditWebhookTokenFile, r.cfg.auditWebhookCAFile)
		if err != nil {
			return nil, err
		}
		trail.To("webhook", hook, m)
	}
	return trail, nil
}

// openGate makes the gate with all that it asks. It dials nothing.
func (r *runner) openGate() (err error) {
	keys := grant.NewRemoteKeys(strings.TrimRight(r.cfg.policyURL, "/")+policyapi.PathJWKS, r.http)
	owner, stages := r.watchRules()
	r.rules = stages
	if r.trail, err = r.openTrail(); err != nil {
		return err
	}
	r.gate, err = gate.New(gate.Config{
		API: r.api, Verifier: grant.NewVerifier(keys), Revocations: r.ledger, Rules: owner, Audit: r.trail, Log: r.log, SystemNames: r.cfg.systemNames,
	})
	return err
}

// openWork takes a directory of this replica's own; what dead ones left goes.
func (r *runner) openWork(replica string) (err error) {
	r.work, err = workdir.Open(r.cfg.workDir, replica)
	if r.work == nil {
		return fmt.Errorf("--work-dir: %w", err)
	}
	if err != nil {
		r.log.Warn("files of an earlier runner are left in the work directory", service.Err(err))
	}
	for _, dir := range r.cfg.toolbox {
		if err := sandbox.CheckToolbox(dir, r.work.Path); err != nil {
			return errors.Join(fmt.Errorf("--toolbox: %w", err), r.work.Close())
		}
	}
	return nil
}

// checkSandbox refuses to run jobs unconfined unless the operator says so.
func (r *runner) checkSandbox() error {
	abi, err := sandbox.Check()
	switch {
	case r.cfg.sandbox == sandbox.ModeOff:
		r.log.Warn("job processes are not confined (--sandbox=off): a job can read what this process can read")
		return nil
	case err != nil:
		return fmt.Errorf("this kernel cannot confine job processes (%w); use a node with Landlock (Linux 6.7 or newer), or accept unconfined jobs with --sandbox=off", err)
	}
	r.log.Info("job processes are confined", "landlock_abi", abi)
	return nil
}

func apiConfig(kubeconfig string) (*rest.Config, error) {
	if kubeconfig == "" {
		cfg, err := rest.InClusterConfig()
		if err != nil {
			return nil, fmt.Errorf("no Kubernetes API: %w; give --kubeconfig when the runner is not in a pod", err)
		}
		return cfg, nil
	}
	cfg, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("--kubeconfig: %w", err)
	}
	return cfg, nil
}

// gitCA returns what a file of authorities holds whenever a job starts.
func gitCA(path string) (func() string, error) {
	if path == "" {
		return func() string { return "" }, nil
	}
	now, err := certs.Bundle(path)
	if err != nil {
		return nil, fmt.Errorf("--git-ca-file: %w", err)
	}
	return now, nil
}

// listen opens the two loopback ports of the job processes.
func (r *runner) listen(ctx context.Context) (worker.Endpoint, error) {
	cert, ca, err := gate.SelfSigned()
	if err != nil {
		return worker.Endpoint{}, err
	}
	const loopback = "127.0.0.1:0"
	g, err := service.Listen(ctx, "gate", loopback)
	if err != nil {
		return worker.Endpoint{}, err
	}
	e, err := service.Listen(ctx, "relay", loopback)
	if err != nil {
		return worker.Endpoint{}, errors.Join(err, g.Close())
	}
	r.gateL = tls.NewListener(g, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13, NextProtos: []string{"h2", "http/1.1"}})
	r.relay = &relay.Relay{Listener: e, Target: r.cfg.egressAddress, Log: r.log}
	if r.cfg.egressTLS {
		r.relay.Dial = r.trust.Dial
	}
	return worker.Endpoint{GatePort: port(g), EgressPort: port(e), CA: ca}, nil
}

func port(l net.Listener) uint16 {
	return l.Addr().(*net.TCPAddr).AddrPort().Port()
}

// ready says whether a job would find what it needs. Where it would not, jobs
// wait in GitLab instead of failing here.
func (r *runner) ready() bool { return r.health.Report().Ready }

// run starts the parts in order and stops them in reverse.
func (r *runner) run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, r.work.Close()) }()
	admin, err := service.Listen(ctx, "listen", r.cfg.listen)
	if err != nil {
		return err
	}
	// The packages of all commands have set up their tables by now, which only
	// the job processes use; what that has left over goes back.
	debug.FreeOSMemory()
	router := service.NewRouter(r.health, r.metrics, r.log)
	r.log.Info("runner starts", "version", service.Version, "kubernetes", r.api.Host, "concurrent", r.cfg.concurrent, "listen", admin.Addr().String())
	stages := append([]service.Stage{
		{Name: "health", Run: func(ctx context.Context) error { return service.Serve(ctx, admin, router, r.log) }},
		r.watch("redis", r.ledger.Ping),
		r.watch("policy", r.askPolicy),
		r.watch("kubernetes", r.askKubernetes),
		{Name: "seal keys", Run: func(ctx context.Context) error { return r.box.Run(ctx, r.log) }},
		{Name: "audit", Run: r.trail.Run},
		{Name: "relay", Run: r.relay.Run},
		{Name: "gate", Run: func(ctx context.Context) error { return service.Serve(ctx, r.gateL, r.gate, r.log) }},
	}, r.cache.stages(r)...)
	stages = append(stages, r.rules...)
	return service.RunStages(ctx, append(stages, service.Stage{Name: "syncer", Run: r.syncer.Run}, service.Stage{Name: "worker", Run: r.worker.Run})...)
}

// watch keeps a link's state true.
func (r *runner) watch(name string, ask func(context.Context) error) service.Stage {
	link := r.health.Link(name)
	return service.Stage{Name: name, Run: func(ctx context.Context) error { return link.Watch(ctx, ask) }}
}

func (r *runner) askPolicy(ctx context.Context) error {
	code, err := status(ctx, r.http, strings.TrimRight(r.cfg.policyURL, "/")+"/livez")
	switch {
	case err != nil:
		return fmt.Errorf("policy at %s does not answer; grants cannot be verified", r.cfg.policyURL)
	case code != http.StatusOK:
		return fmt.Errorf("what answers at %s is not policy (status %d); check --policy-url", r.cfg.policyURL, code)
	}
	return nil
}

func (r *runner) askKubernetes(ctx context.Context) error {
	client, err := rest.HTTPClientFor(r.api)
	if err != nil {
		return err
	}
	host, _, err := rest.DefaultServerUrlFor(r.api)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	code, err := status(ctx, client, host.JoinPath("version").String())
	switch {
	case err != nil:
		return fmt.Errorf("the Kubernetes API at %s does not answer; check the address, the network policy and the API server", r.api.Host)
	case code == http.StatusUnauthorized:
		return fmt.Errorf("the Kubernetes API at %s does not accept the runner's credential; check its ServiceAccount or --kubeconfig", r.api.Host)
	case code >= http.StatusInternalServerError:
		return fmt.Errorf("the Kubernetes API at %s is not well (status %d)", r.api.Host, code)
	}
	return nil
}

// maxAnswer is how much of a check's answer is read, so that its connection can
// be used again.
const maxAnswer = 64 << 10

// status asks for a page and returns the status of the answer.
func status(ctx context.Context, client *http.Client, url string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer)
	return resp.StatusCode, resp.Body.Close()
}
