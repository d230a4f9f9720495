package rig

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/towline/towline/e2e/cluster"
)

// Options says what to install.
type Options struct {
	Cluster     *cluster.Cluster
	RedisURL    string
	RedisPrefix string // default "towline"
	GitLabURL   string
	RunnerToken string // empty when Config carries it
	Agent       string // group/project:name
	AgentID     int64
	// Config is the agent's local config.yaml; empty reads the configuration
	// project with ConfigToken instead.
	Config                             string
	ConfigToken                        string
	Sandbox                            string // enforce (default) or off
	Concurrent                         int    // jobs at a time, default 4
	Dir                                string // for files; must exist
	Binaries                           string // directory of the services' binaries; empty builds them
	Progress                           io.Writer
	Tee                                func(service string, l Line) // each log line of the services
	PolicyArgs, TunnelArgs, RunnerArgs []string                     // further settings
	// PolicyTLS: PolicyArgs name a certificate, so policy is reached with TLS.
	PolicyTLS bool
}

// Rig is a running installation.
type Rig struct {
	Policy, Tunnel, Runner *Service
	// Namespace holds the services' ServiceAccounts.
	Namespace string
	// ConfigFile is the local config.yaml, if there is one.
	ConfigFile string

	opts     Options
	binaries string
	egress   string
	undo     []func(context.Context) error
	replicas []*Service
}

// Start installs and starts the services and returns when all are ready. ctx
// bounds the start only.
func Start(ctx context.Context, opts Options) (*Rig, error) {
	r := &Rig{opts: withDefaults(opts), Namespace: "towline-" + suffix()}
	if err := r.start(ctx); err != nil {
		return nil, errors.Join(err, r.Stop())
	}
	return r, nil
}

func withDefaults(o Options) Options {
	if o.RedisPrefix == "" {
		o.RedisPrefix = "towline"
	}
	if o.Sandbox == "" {
		o.Sandbox = "enforce"
	}
	if o.Concurrent == 0 {
		o.Concurrent = 4
	}
	if o.Progress == nil {
		o.Progress = io.Discard
	}
	return o
}

func (r *Rig) start(ctx context.Context) (err error) {
	r.binaries = r.opts.Binaries
	if r.binaries == "" {
		if r.binaries, err = binaries(ctx, filepath.Join(r.opts.Dir, "bin"), r.opts.Progress); err != nil {
			return err
		}
	}
	if err := r.writeFiles(ctx); err != nil {
		return err
	}
	for _, start := range []func(context.Context) error{r.StartPolicy, r.StartTunnel, r.StartRunner} {
		if err := start(ctx); err != nil {
			return err
		}
	}
	for _, s := range []*Service{r.Policy, r.Runner, r.Tunnel} {
		if err := s.WaitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (r *Rig) file(name string) string { return filepath.Join(r.opts.Dir, name) }

// writeFiles makes keys, tokens, kubeconfigs and configuration.
func (r *Rig) writeFiles(ctx context.Context) error {
	if err := r.grantRights(ctx); err != nil {
		return fmt.Errorf("rights in the cluster: %w", err)
	}
	sealKey := make([]byte, 32)
	_, _ = rand.Read(sealKey)
	_, signing, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(signing)
	if err != nil {
		return err
	}
	files := map[string][]byte{
		"seal.key":    []byte(base64.StdEncoding.EncodeToString(sealKey) + "\n"),
		"signing.pem": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
	}
	for account, audience := range map[string]string{"towline-policy": "", "towline-runner": "", "towline-tunnel": "towline-policy"} {
		var audiences []string
		if audience != "" {
			audiences = []string{audience}
		}
		token, err := r.opts.Cluster.ServiceAccountToken(ctx, r.Namespace, account, audiences...)
		if err != nil {
			return err
		}
		files[account+".token"] = []byte(token)
		if files[account+".kubeconfig"], err = r.opts.Cluster.KubeconfigFor(token); err != nil {
			return err
		}
	}
	if r.opts.ConfigToken != "" {
		files["config.token"] = []byte(r.opts.ConfigToken)
	}
	if r.opts.Config != "" {
		r.ConfigFile = r.file("config/config.yaml")
		files["config/config.yaml"] = []byte(r.opts.Config)
	}
	for name, content := range files {
		if err := os.MkdirAll(filepath.Dir(r.file(name)), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(r.file(name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// StartPolicy starts policy, again if it was stopped.
func (r *Rig) StartPolicy(ctx context.Context) (err error) {
	args := []string{
		"--listen=" + r.stay(r.Policy), "--agent=" + r.opts.Agent, fmt.Sprintf("--agent-id=%d", r.opts.AgentID),
		"--agent-service-account=" + r.Namespace + "/towline-agent", "--signing-key-file=" + r.file("signing.pem"),
		"--kubeconfig=" + r.file("towline-policy.kubeconfig"), "--callers=system:serviceaccount:" + r.Namespace + ":towline-tunnel",
		"--log-format=json",
	}
	if r.ConfigFile != "" {
		args = append(args, "--config="+filepath.Dir(r.ConfigFile))
	}
	r.Policy, err = r.launch(ctx, "policy", append(args, r.opts.PolicyArgs...), nil)
	if err == nil && r.opts.PolicyTLS {
		r.Policy.URL = strings.Replace(r.Policy.URL, "http://", "https://", 1)
	}
	return err
}

// StartTunnel starts the tunnel, again if it was stopped.
func (r *Rig) StartTunnel(ctx context.Context) (err error) {
	egress := r.egress
	if egress == "" {
		egress = "127.0.0.1:0"
	}
	args := []string{
		"--listen=" + r.stay(r.Tunnel), "--egress-listen=" + egress, "--gitlab-url=" + r.opts.GitLabURL, "--agent=" + r.opts.Agent,
		"--redis-prefix=" + r.opts.RedisPrefix, "--seal-key-file=" + r.file("seal.key"), "--policy-url=" + r.Policy.URL,
		"--service-token-file=" + r.file("towline-tunnel.token"), "--log-format=json",
	}
	if r.opts.ConfigToken != "" {
		args = append(args, "--config-token-file="+r.file("config.token"), "--config-interval=200ms")
	}
	if r.ConfigFile != "" {
		args = append(args, "--config="+filepath.Dir(r.ConfigFile))
	}
	var env []string
	if r.opts.RunnerToken != "" {
		env = append(env, "AGENT_SECRET_KEY="+r.opts.RunnerToken)
	}
	r.Tunnel, err = r.launch(ctx, "tunnel", append(args, r.opts.TunnelArgs...), env)
	if err != nil {
		return err
	}
	r.egress, err = r.Tunnel.address(ctx, "egress")
	return err
}

// StartRunner starts the runner, again if it was stopped.
func (r *Rig) StartRunner(ctx context.Context) (err error) {
	args := []string{
		"--listen=" + r.stay(r.Runner), "--redis-prefix=" + r.opts.RedisPrefix, "--seal-key-file=" + r.file("seal.key"),
		"--policy-url=" + r.Policy.URL, "--egress-address=" + r.egress, "--kubeconfig=" + r.file("towline-runner.kubeconfig"),
		fmt.Sprintf("--concurrent=%d", r.opts.Concurrent), "--work-dir=" + r.file("work"), "--sandbox=" + r.opts.Sandbox,
		"--drain-timeout=10s", "--log-format=json",
	}
	r.Runner, err = r.launch(ctx, "runner", append(args, r.opts.RunnerArgs...), nil)
	return err
}

// stay is the address a service listens on: the one it had, or a free one.
func (r *Rig) stay(s *Service) string {
	if s == nil {
		return "127.0.0.1:0"
	}
	_, address, _ := strings.Cut(s.URL, "://")
	return address
}

func (r *Rig) launch(ctx context.Context, name string, args, env []string) (*Service, error) {
	s, err := launch(name, filepath.Join(r.binaries, name), args, append(env, "TOWLINE_REDIS_URL="+r.opts.RedisURL), r.opts.Tee)
	if err != nil {
		return nil, err
	}
	addr, err := s.address(ctx, "listen")
	if err != nil {
		s.Kill()
		return nil, err
	}
	s.URL, s.args, s.env = "http://"+addr, args, env
	return s, nil
}

// Replica starts one more of a service, with its settings and these, and waits
// until it is ready. It ends with the others.
func (r *Rig) Replica(ctx context.Context, of *Service, settings ...string) (*Service, error) {
	args := append(slices.Clone(of.args), "--listen=127.0.0.1:0")
	if of.Name == "tunnel" {
		args = append(args, "--egress-listen=127.0.0.1:0")
	}
	s, err := r.launch(ctx, of.Name, append(args, settings...), of.env)
	if err != nil {
		return nil, err
	}
	r.replicas = append(r.replicas, s)
	return s, s.WaitReady(ctx)
}

// Egress is where a tunnel's proxy listens.
func (s *Service) Egress(ctx context.Context) (string, error) { return s.address(ctx, "egress") }

// Stop stops the services in the order in which a release would be drained, and
// removes what was created in the cluster.
func (r *Rig) Stop() error {
	var errs []error
	for _, s := range append([]*Service{r.Tunnel, r.Runner, r.Policy}, r.replicas...) {
		if s != nil {
			errs = append(errs, s.Stop())
		}
	}
	const within = time.Minute
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	for i := len(r.undo) - 1; i >= 0; i-- {
		errs = append(errs, r.undo[i](ctx))
	}
	r.undo = nil
	return errors.Join(errs...)
}

func suffix() string {
	var b [4]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
