package app

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/towline/towline/pkg/redislink"
	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/services/runner/internal/job"
	"github.com/towline/towline/services/runner/internal/toolbox/program"
)

// Defaults and bounds of settings.
const (
	defaultLogLimit = 4 << 20
	maxLogLimit     = 32 << 20
	maxConcurrent   = 1000

	defaultScratchLimit = 2 << 30
	minScratchLimit     = 1 << 20
	defaultMemoryLimit  = 1 << 30
	minMemoryLimit      = 256 << 20
)

type settings struct {
	redis                             redislink.Options
	redisPrefix, sealKeyFile          string
	policyURL, egressAddress          string
	caFile                            string
	egressTLS                         bool
	kubeconfig, gitCAFile, rules      string
	concurrent, warm, logLimit        int
	syncs                             int
	scratchLimit, memoryLimit         int
	workDir, sandbox                  string
	toolbox                           []string
	drainTimeout                      time.Duration
	listen, name, logFormat, logLevel string
	debugTrace                        bool
	systemNames                       []string
	auditWebhook                      string
	auditWebhookTokenFile             string
	auditWebhookCAFile                string
	featureFlags                      map[string]bool

	cacheDir                                   string
	cacheMaxAge                                time.Duration
	cacheMaxSize                               int
	cacheS3Endpoint, cacheS3Bucket             string
	cacheS3Region                              string
	cacheS3AccessKeyFile, cacheS3SecretKeyFile string
	cacheS3PathStyle                           bool
}

func parse(args []string, getenv func(string) string, out io.Writer) (*settings, error) {
	var c settings
	s := service.NewSettings("runner", getenv, out)
	c.redis.Bind(s)
	s.String(&c.redisPrefix, "redis-prefix", "towline", "first part of every key in Redis")
	s.String(&c.sealKeyFile, "seal-key-file", "", "file with the sealing keys, the newest first, shared with the tunnel (required); read again when it changes")
	s.String(&c.policyURL, "policy-url", "http://127.0.0.1:8081", "address of policy, for the keys that verify grants")
	s.String(&c.egressAddress, "egress-address", "127.0.0.1:8082", "host:port of the tunnel's egress proxy")
	s.Bool(&c.egressTLS, "egress-tls", false, "speak TLS to the tunnel's egress proxy")
	s.String(&c.caFile, "ca-file", "", "PEM file of the authorities that the certificates of policy and of the tunnel must come from; empty: the system's. Read again when it changes")
	s.String(&c.kubeconfig, "kubeconfig", "", "kubeconfig for the Kubernetes API; empty uses the pod's ServiceAccount")
	s.String(&c.rules, "rules", "", "the cluster owner's rules, for each request to the Kubernetes API: a file, or a directory of such, the same as policy's; empty: none")
	s.String(&c.gitCAFile, "git-ca-file", "", "PEM file of certificates to trust for Git beside the system's; each job gets them as they are when it starts")
	s.Int(&c.concurrent, "concurrent", 10, "jobs at a time")
	s.Int(&c.syncs, "syncs", 2, "entries of gitops that are synced at a time; 0: none")
	s.Int(&c.warm, "warm", 2, "job processes kept ready")
	s.Int(&c.logLimit, "log-limit", defaultLogLimit, "bytes of output per job; the rest is dropped with a notice")
	s.Int(&c.scratchLimit, "scratch-limit", defaultScratchLimit, "bytes that the files of a job may take")
	s.Int(&c.memoryLimit, "memory-limit", defaultMemoryLimit, "bytes of memory that a job may take, each of its processes and all together")
	s.String(&c.workDir, "work-dir", filepath.Join(os.TempDir(), "towline"), "directory of the job directories")
	s.String(&c.sandbox, "sandbox", "enforce", "enforce: confine job processes with Landlock or refuse to start; off: do not confine them")
	s.Bool(&c.debugTrace, "debug-trace", true, "let jobs show their commands as they run, with CI_DEBUG_TRACE; such logs may show more than masking hides")
	s.List(&c.systemNames, "system-names", "comma-separated users and groups of Kubernetes' own (system:...) that jobs with access_as: agent may act as with --as and --as-group; empty: none")
	s.String(&c.auditWebhook, "audit-webhook", "", "address that audit records are posted to; empty: none")
	s.String(&c.auditWebhookTokenFile, "audit-webhook-token-file", "", "file with the bearer token for --audit-webhook; empty: none is sent")
	s.String(&c.auditWebhookCAFile, "audit-webhook-ca-file", "", "PEM file of certificates to trust for --audit-webhook beside the system's; empty: none")
	s.Duration(&c.drainTimeout, "drain-timeout", time.Hour, "how long running jobs may go on after SIGTERM")
	s.String(&c.listen, "listen", ":8083", "address for health and metrics")
	s.String(&c.name, "name", "towline", "name shown in job logs")
	s.String(&c.logFormat, "log-format", "json", "json or text")
	s.String(&c.logLevel, "log-level", "info", "debug, info, warn or error")
	c.bindCache(s)
	var toolbox string
	bindToolbox(s, &toolbox)
	var flags []string
	s.List(&flags, "feature-flags", "feature flags of GitLab's runner that are decided here and not by jobs: FF_SCRIPT_SECTIONS=true or =false")
	if err := s.Parse(args); err != nil {
		return nil, err
	}
	c.toolbox = toolboxFolders(toolbox)
	var err error
	c.featureFlags, err = decidedFlags(flags)
	return &c, errors.Join(err, c.validate())
}

// decidedFlags reads feature flags as the operator writes them, NAME=true or
// NAME=false.
func decidedFlags(list []string) (map[string]bool, error) {
	flags := make(map[string]bool, len(list))
	for _, f := range list {
		name, value, _ := strings.Cut(f, "=")
		on, err := strconv.ParseBool(value)
		if name != job.FlagScriptSections || err != nil {
			return nil, fmt.Errorf("--feature-flags=%s: use %s=true or %s=false; there is no other flag that can be decided here", f, job.FlagScriptSections, job.FlagScriptSections)
		}
		flags[name] = on
	}
	return flags, nil
}

func (c *settings) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.sealKeyFile == "" {
		bad("--seal-key-file is missing: make one with `openssl rand -base64 32` and give the same file to tunnel and runner (or set %s)", service.EnvName("seal-key-file"))
	}
	for _, s := range []struct {
		option       string
		value, least int
	}{{"concurrent", c.concurrent, 1}, {"syncs", c.syncs, 0}} {
		if s.value < s.least || s.value > maxConcurrent {
			bad("--%s=%d: use %d to %d", s.option, s.value, s.least, maxConcurrent)
		}
	}
	if c.warm < 0 {
		bad("--warm=%d: use 0 or more; more than --concurrent are never kept", c.warm)
	}
	if c.logLimit < 1 || c.logLimit > maxLogLimit {
		bad("--log-limit=%d: use 1 to %d bytes", c.logLimit, maxLogLimit)
	}
	if c.scratchLimit < minScratchLimit {
		bad("--scratch-limit=%d: use %d bytes or more", c.scratchLimit, minScratchLimit)
	}
	if c.memoryLimit < minMemoryLimit {
		bad("--memory-limit=%d: use %d bytes or more; kubectl and helm alone take a part of that", c.memoryLimit, minMemoryLimit)
	}
	if u, err := url.Parse(c.policyURL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		bad("--policy-url=%s: use http://host:port or https://host:port", c.policyURL)
	}
	if host, port, err := net.SplitHostPort(c.egressAddress); err != nil || host == "" || port == "" {
		bad("--egress-address=%s: use host:port", c.egressAddress)
	}
	if !filepath.IsAbs(c.workDir) {
		bad("--work-dir=%s: use an absolute path", c.workDir)
	}
	if c.drainTimeout < 0 {
		bad("--drain-timeout=%s: use 0 or more", c.drainTimeout)
	}
	if err := program.Folders(c.toolbox).Check(); err != nil {
		bad("--toolbox: %w", err)
	}
	if c.sandbox != "enforce" && c.sandbox != "off" {
		bad("--sandbox=%s: use enforce or off", c.sandbox)
	}
	return errors.Join(slices.Concat(errs, []error{c.redis.Validate()}, c.gateFaults(), c.cacheFaults())...)
}

// gateFaults are the faults of settings of the gate.
func (c *settings) gateFaults() []error {
	var errs []error
	for _, name := range c.systemNames {
		if !strings.HasPrefix(name, "system:") {
			errs = append(errs, fmt.Errorf("--system-names=%s: only names that begin with system: need to be allowed here", name))
		}
	}
	for option, file := range map[string]string{"token": c.auditWebhookTokenFile, "ca": c.auditWebhookCAFile} {
		if file != "" && c.auditWebhook == "" {
			errs = append(errs, fmt.Errorf("--audit-webhook-%s-file=%s: give --audit-webhook too", option, file))
		}
	}
	return errs
}
