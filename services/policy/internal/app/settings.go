package app

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/services/policy/internal/configuration"
	"github.com/towline/towline/services/policy/internal/decide"
)

// settings are the options as given.
type settings struct {
	listen         string
	config         string
	configSources  []string
	agent          string
	agentID        int64
	agentAccount   string
	namespaces     []string
	jobGroups      []string
	rules          string
	signingKeyFile string
	tlsCertFile    string
	tlsKeyFile     string
	kubeconfig     string
	callers        []string
	explainSocket  string
	logFormat      string
	logLevel       string

	decide decide.Settings // made of the above by validate
	given  []service.Setting
}

func (s *settings) bind(b *service.Settings) {
	b.String(&s.listen, "listen", ":8081", "address to serve on")
	b.String(&s.tlsCertFile, "tls-cert-file", "", "PEM file of the certificate to serve with; read again when it changes. Empty: without TLS")
	b.String(&s.tlsKeyFile, "tls-key-file", "", "PEM file of its key")
	b.String(&s.config, "config", "", "agent configuration: a config.yaml, or a directory with one, and the towline.yaml beside it; empty: the tunnel sends the one from GitLab")
	b.List(&s.configSources, "config-sources", "comma-separated order of the agent's configuration: local is --config, repository is what the tunnel sends; empty: local when --config is given, else repository")
	b.String(&s.agent, "agent", "", "the GitLab agent, as group/project:name (required)")
	b.Int64(&s.agentID, "agent-id", 0, "the agent's id in GitLab; 0 is unknown")
	b.String(&s.agentAccount, "agent-service-account", "", "namespace/name of the ServiceAccount of jobs with access_as: agent; empty refuses them")
	b.List(&s.namespaces, "namespaces", "comma-separated namespaces jobs may use; empty: what RBAC allows")
	b.List(&s.jobGroups, "job-groups", "comma-separated groups, the only ones of jobs and syncs that act as themselves; all such jobs are then the user "+decide.AnyJob+". Empty: each job is its own user, with all its groups")
	b.String(&s.rules, "rules", "", "the cluster owner's rules: a file, or a directory of such; the runner takes the same ones; empty: none")
	b.String(&s.signingKeyFile, "signing-key-file", "", "Ed25519 keys in PKCS#8 PEM, the newest first, which signs: a file, or a directory whose last file by name has the newest; empty: one that dies with the process")
	b.String(&s.kubeconfig, "kubeconfig", "", "kubeconfig of the Kubernetes API that checks callers; empty: in-cluster")
	b.List(&s.callers, "callers", "comma-separated ServiceAccounts that may ask, like system:serviceaccount:towline:towline-tunnel (required)")
	b.String(&s.explainSocket, "explain-socket", "", "Unix socket that the commands explain and show ask, a path or a name that starts with @; empty: none")
	b.String(&s.logFormat, "log-format", "json", "json or text")
	b.String(&s.logLevel, "log-level", "info", "debug, info, warn or error")
}

// parse reads flags and environment and reports everything wrong at once.
func parse(args []string, getenv func(string) string, out io.Writer) (*settings, error) {
	s := &settings{}
	b := service.NewSettings("policy", getenv, out)
	s.bind(b)
	if err := b.Parse(args); err != nil {
		return nil, err
	}
	if err := errors.Join(s.validate(), s.validateCallers()); err != nil {
		return nil, err
	}
	s.given = b.Each()
	return s, nil
}

var (
	dnsLabel     = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
	dnsSubdomain = regexp.MustCompile(`^[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?$`)
	projectPath  = regexp.MustCompile(`^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)+$`)
)

func (s *settings) configuration() configuration.Settings {
	return configuration.Settings{Path: s.config, Order: s.configSources}
}

func (s *settings) validate() error {
	var faults []error
	fault := func(option, value, remedy string) { faults = append(faults, refused(option, value, remedy)) }
	project, name, _ := strings.Cut(s.agent, ":")
	if !projectPath.MatchString(project) || !dnsLabel.MatchString(name) {
		fault("agent", s.agent, "want group/project:name, the agent's configuration project and its name in GitLab")
	}
	if s.agentID < 0 {
		fault("agent-id", fmt.Sprint(s.agentID), "want the agent's id in GitLab, or 0 when it is not known")
	}
	var account decide.ServiceAccount
	if s.agentAccount != "" {
		account.Namespace, account.Name, _ = strings.Cut(s.agentAccount, "/")
		if !dnsLabel.MatchString(account.Namespace) || !dnsSubdomain.MatchString(account.Name) {
			fault("agent-service-account", s.agentAccount, "want namespace/name of a ServiceAccount")
		}
	}
	if err := s.configuration().Validate(); err != nil {
		fault("config-sources", strings.Join(s.configSources, ","), err.Error())
	}
	for _, n := range s.namespaces {
		if !dnsLabel.MatchString(n) {
			fault("namespaces", n, "not a namespace name")
		}
	}
	if len(s.namespaces) > grant.MaxNamespaces {
		fault("namespaces", fmt.Sprint(len(s.namespaces)), fmt.Sprintf("at most %d fit into a grant", grant.MaxNamespaces))
	}
	s.decide = decide.Settings{
		Agent:               grant.Agent{ID: s.agentID, Project: project, Name: name},
		AgentServiceAccount: account, Namespaces: s.namespaces, JobGroups: s.jobGroups,
	}
	return errors.Join(faults...)
}

// validateCallers checks what only the service needs, not the commands.
func (s *settings) validateCallers() error {
	var faults []error
	fault := func(option, value, remedy string) { faults = append(faults, refused(option, value, remedy)) }
	if len(s.callers) == 0 {
		fault("callers", "", "name the tunnel's ServiceAccount, for example system:serviceaccount:towline:towline-tunnel")
	}
	for _, c := range s.callers {
		if !strings.HasPrefix(c, "system:serviceaccount:") || strings.Count(c, ":") != 3 {
			fault("callers", c, "want system:serviceaccount:<namespace>:<name>")
		}
	}
	return errors.Join(faults...)
}

func refused(option, value, remedy string) error {
	return fmt.Errorf("--%s=%s: %s", option, value, remedy)
}
