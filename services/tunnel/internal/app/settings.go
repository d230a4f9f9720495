package app

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/redislink"
	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/services/tunnel/internal/gitlab"
)

// maxTokenFile bounds what is read as a token, in bytes.
const maxTokenFile = 16 << 10

type settings struct {
	gitlabURL, gitlabCAFile, tokenFile, config string
	configOptional                             bool
	agent, configTokenFile                     string
	redis                                      redislink.Options
	redisPrefix, sealKeyFile                   string
	tlsCertFile, tlsKeyFile, caFile            string
	policyURL, serviceTokenFile                string
	listen, egressListen                       string
	egressHosts                                []string
	name, logFormat, logLevel                  string
	pollInterval, longPoll, configInterval     time.Duration
	queueWait                                  time.Duration
	jobRouter, cache                           bool
	gitops                                     bool
	gitopsTokenFile                            string
	gitopsTokens                               []string
	gitopsInterval                             time.Duration
}

func parse(args []string, getenv func(string) string, out io.Writer) (*settings, error) {
	var c settings
	s := service.NewSettings("tunnel", getenv, out)
	s.String(&c.gitlabURL, "gitlab-url", "", "address of GitLab, for example https://gitlab.example.com (required)")
	s.String(&c.gitlabCAFile, "gitlab-ca-file", "", "PEM file of certificates to trust for GitLab beside the system's; read again when it changes")
	s.String(&c.tokenFile, "token-file", "", "file with the runner token (glrt-...); read again when it changes. Else AGENT_SECRET_KEY, AGENTK_TOKEN or agent.token of --config")
	s.String(&c.config, "config", "", "the agent's configuration: a directory with config.yaml, or a file; here only agent.token is read from it")
	s.String(&c.agent, "agent", "", "the agent, as group/project:name (required)")
	s.String(&c.configTokenFile, "config-token-file", "", "file with a token that may read the configuration project; without it policy's own --config is used")
	s.Bool(&c.configOptional, "config-optional", false, "take jobs while the configuration project has no config.yaml; policy then decides with its own --config")
	s.Duration(&c.configInterval, "config-interval", 3*time.Second, "how often the configuration project is looked at")
	c.redis.Bind(s)
	s.String(&c.redisPrefix, "redis-prefix", "towline", "first part of every key in Redis")
	s.String(&c.sealKeyFile, "seal-key-file", "", "file with the sealing keys, the newest first, shared with the runner (required); read again when it changes")
	s.String(&c.policyURL, "policy-url", "http://127.0.0.1:8081", "address of policy")
	s.String(&c.serviceTokenFile, "service-token-file", "/var/run/secrets/towline/policy-token", "file with this service's Kubernetes token for policy (audience towline-policy)")
	s.String(&c.tlsCertFile, "tls-cert-file", "", "PEM file of the certificate that --egress-listen serves with; read again when it changes. Empty: without TLS")
	s.String(&c.tlsKeyFile, "tls-key-file", "", "PEM file of its key")
	s.String(&c.caFile, "ca-file", "", "PEM file of the authorities that policy's certificate must come from; empty: the system's. Read again when it changes")
	s.String(&c.listen, "listen", ":8080", "address for health and metrics")
	s.String(&c.egressListen, "egress-listen", ":8082", "address of the runners' egress proxy")
	s.List(&c.egressHosts, "egress-hosts", "hosts (host:port) that jobs may reach beside GitLab, comma-separated")
	s.String(&c.name, "name", "towline", "name shown in job logs and in GitLab's runner list")
	s.Duration(&c.pollInterval, "poll-interval", 3*time.Second, "pause between requests for a job that GitLab answers at once")
	s.Duration(&c.longPoll, "long-poll", time.Minute, "longest time GitLab may hold a request for a job")
	s.Duration(&c.queueWait, "queue-wait", 10*time.Minute, "longest time a taken job waits for a runner")
	s.Bool(&c.jobRouter, "job-router", false, "take jobs by GitLab's job router (an experiment of GitLab's) where it has one; else, and whenever that does not work, by its API")
	s.Bool(&c.cache, "cache", false, "the runners have a cache: say so to GitLab, which otherwise refuses jobs with fallback keys")
	s.Bool(&c.gitops, "gitops", false, "keep the cluster equal to what the section gitops of the agent's configuration names")
	s.String(&c.gitopsTokenFile, "gitops-token-file", "", "file with a token that may read the repositories of gitops (scope read_api; api, to show commit statuses); read again for each look. Empty: --config-token-file")
	s.List(&c.gitopsTokens, "gitops-tokens", "tokens for some of these repositories: path=file, comma-separated, where path is a project or a group; the longest path counts, and the file is read again for each look")
	s.Duration(&c.gitopsInterval, "gitops-interval", 3*time.Second, "how often each ref of gitops is looked at")
	s.String(&c.logFormat, "log-format", "json", "json or text")
	s.String(&c.logLevel, "log-level", "info", "debug, info, warn or error")
	if err := s.Parse(args); err != nil {
		return nil, err
	}
	return &c, c.validate()
}

func (c *settings) validate() error {
	var errs []error
	require := func(v, option, what string) {
		if v == "" {
			errs = append(errs, fmt.Errorf("--%s is missing: %s (or set %s)", option, what, service.EnvName(option)))
		}
	}
	require(c.gitlabURL, "gitlab-url", "give GitLab's address, for example https://gitlab.example.com")
	require(c.agent, "agent", "give the agent as group/project:name")
	require(c.sealKeyFile, "seal-key-file", "make one with `openssl rand -base64 32` and give the same file to tunnel and runner")
	if project, name, ok := strings.Cut(c.agent, ":"); c.agent != "" && (!ok || name == "" || !strings.Contains(project, "/")) {
		errs = append(errs, fmt.Errorf("--agent=%s: want group/project:name", c.agent))
	}
	if c.gitlabURL != "" {
		if _, err := gitlab.Base(c.gitlabURL); err != nil {
			errs = append(errs, err)
		}
	}
	if c.gitopsTokenFile == "" {
		c.gitopsTokenFile = c.configTokenFile
	}
	if c.gitops {
		require(c.gitopsTokenFile, "gitops-token-file", "give a file with a token that may read the repositories of gitops")
	}
	if c.gitops && c.configTokenFile == "" {
		require(c.config, "config", "gitops needs the agent's configuration: give --config-token-file, or the same --config that policy has")
	}
	if err := checkProjectTokens(c.gitopsTokens); err != nil {
		errs = append(errs, err)
	}
	if err := c.redis.Validate(); err != nil {
		errs = append(errs, err)
	}
	for _, h := range c.egressHosts {
		if err := checkHost(h); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, c.validateTimes()...)...)
}

// validateTimes refuses pauses with which the tunnel would run hot, and waits
// with which no job would ever run.
func (c *settings) validateTimes() []error {
	var errs []error
	between := func(option string, d, low, high time.Duration) {
		if d < low || d > high {
			errs = append(errs, fmt.Errorf("--%s=%s: want %s to %s", option, d, low, high))
		}
	}
	between("poll-interval", c.pollInterval, 100*time.Millisecond, time.Hour)
	between("config-interval", c.configInterval, 100*time.Millisecond, time.Hour)
	between("gitops-interval", c.gitopsInterval, 100*time.Millisecond, time.Hour)
	between("long-poll", c.longPoll, 0, ledger.HoldTTL) // the ticket of a longer one would run out
	between("queue-wait", c.queueWait, time.Second, ledger.JobTTL)
	return errs
}

func checkHost(h string) error {
	host, port, err := net.SplitHostPort(h)
	if n, bad := strconv.ParseUint(port, 10, 16); err != nil || host == "" || bad != nil || n == 0 {
		return fmt.Errorf("--egress-hosts: %q: want host:port", h)
	}
	return nil
}

// runnerToken finds the token, in the order that --token-file's usage names,
// and returns a function that reads it anew.
func (c *settings) runnerToken(getenv func(string) string, log *slog.Logger) (func() string, error) {
	if c.tokenFile != "" {
		first, err := readToken(c.tokenFile)
		if err != nil {
			return nil, fmt.Errorf("--token-file: %w", err)
		}
		var last atomic.Value
		last.Store(first)
		return func() string {
			if t, err := readToken(c.tokenFile); err == nil && checkToken(t) == nil {
				last.Store(t)
			}
			return last.Load().(string)
		}, checkToken(first)
	}
	for _, name := range []string{"AGENT_SECRET_KEY", "AGENTK_TOKEN"} {
		if t := strings.TrimSpace(getenv(name)); t != "" {
			return func() string { return t }, checkToken(t)
		}
	}
	if c.config != "" {
		local, err := agentconfig.Load(c.config, agentconfig.Options{AllowToken: true})
		if err != nil {
			return nil, fmt.Errorf("--config: %w", err)
		}
		for _, n := range local.Notices {
			log.Warn("configuration notice", "notice", n.String())
		}
		if t := local.Config.AgentToken.Reveal(); t != "" {
			return func() string { return t }, checkToken(t)
		}
	}
	return nil, errors.New("no runner token: set AGENT_SECRET_KEY or --token-file to the glrt- token that GitLab shows when a runner is created (Settings > CI/CD > Runners)")
}

// checkToken tells the mix-ups that people make.
func checkToken(t string) error {
	if strings.ContainsFunc(t, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return errors.New("the runner token holds spaces, line breaks or other signs that no token has; give the glrt- token alone")
	}
	if strings.HasPrefix(t, "glagent-") {
		return errors.New("the token is an agent token (glagent-), with which GitLab hands out no jobs: create a runner (Settings > CI/CD > Runners) and use its glrt- token")
	}
	return nil
}

func readToken(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxTokenFile))
	if err != nil {
		return "", err
	}
	t := strings.TrimSpace(string(b))
	if t == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	return t, nil
}

// allowedHosts are the places that jobs may reach through the proxy.
func (c *settings) allowedHosts() (map[string]bool, error) {
	u, err := url.Parse(c.gitlabURL)
	if err != nil || u.Host == "" {
		return nil, errors.New("--gitlab-url is not an address of GitLab")
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443"}[u.Scheme]
	}
	if port == "" {
		port = "80"
	}
	allowed := map[string]bool{strings.ToLower(net.JoinHostPort(u.Hostname(), port)): true}
	for _, h := range c.egressHosts {
		allowed[strings.ToLower(h)] = true
	}
	return allowed, nil
}
