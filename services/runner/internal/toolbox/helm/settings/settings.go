package settings

import (
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// Defaults of helm.
const (
	defaultMaxHistory = 10
	defaultBurstLimit = 100
)

// Lookup returns a variable of the script and whether it is set.
type Lookup func(name string) (string, bool)

// Settings are the environment and the global flags of one command. Its paths
// are as the script gave them.
type Settings struct {
	Namespace string

	KubeConfig        string
	KubeContext       string
	KubeToken         string
	KubeAsUser        string
	KubeAsGroups      []string
	KubeAPIServer     string
	KubeCAFile        string
	KubeTLSServerName string
	KubeInsecure      bool

	RegistryConfig   string
	RepositoryConfig string
	RepositoryCache  string

	Debug      bool
	MaxHistory int

	pluginsDir                      string
	cacheHome, configHome, dataHome string
	burstLimit                      int     // taken and shown; the gate limits requests here
	qps                             float32 // likewise
}

// FromEnvironment reads what helm reads from its environment.
func FromEnvironment(lookup Lookup) *Settings {
	env := environment{lookup}
	s := &Settings{
		Namespace:         env.get("HELM_NAMESPACE"),
		KubeContext:       env.get("HELM_KUBECONTEXT"),
		KubeToken:         env.get("HELM_KUBETOKEN"),
		KubeAsUser:        env.get("HELM_KUBEASUSER"),
		KubeAsGroups:      env.list("HELM_KUBEASGROUPS"),
		KubeAPIServer:     env.get("HELM_KUBEAPISERVER"),
		KubeCAFile:        env.get("HELM_KUBECAFILE"),
		KubeTLSServerName: env.get("HELM_KUBETLS_SERVER_NAME"),
		KubeInsecure:      env.truth("HELM_KUBEINSECURE_SKIP_TLS_VERIFY"),
		Debug:             env.truth("HELM_DEBUG"),
		MaxHistory:        env.number("HELM_MAX_HISTORY", defaultMaxHistory),
		burstLimit:        env.number("HELM_BURST_LIMIT", defaultBurstLimit),
		cacheHome:         env.home("HELM_CACHE_HOME", "XDG_CACHE_HOME", ".cache"),
		configHome:        env.home("HELM_CONFIG_HOME", "XDG_CONFIG_HOME", ".config"),
		dataHome:          env.home("HELM_DATA_HOME", "XDG_DATA_HOME", ".local/share"),
	}
	if qps, err := strconv.ParseFloat(env.get("HELM_QPS"), 32); err == nil {
		s.qps = float32(qps)
	}
	s.pluginsDir = env.or("HELM_PLUGINS", filepath.Join(s.dataHome, "plugins"))
	s.RegistryConfig = env.or("HELM_REGISTRY_CONFIG", filepath.Join(s.configHome, "registry", "config.json"))
	s.RepositoryConfig = env.or("HELM_REPOSITORY_CONFIG", filepath.Join(s.configHome, "repositories.yaml"))
	s.RepositoryCache = env.or("HELM_REPOSITORY_CACHE", filepath.Join(s.cacheHome, "repository"))
	return s
}

// AddFlags adds the global flags of helm.
func (s *Settings) AddFlags(fs *pflag.FlagSet) {
	fs.StringVarP(&s.Namespace, "namespace", "n", s.Namespace, "namespace scope for this request")
	fs.StringVar(&s.KubeConfig, "kubeconfig", "", "path to the kubeconfig file")
	fs.StringVar(&s.KubeContext, "kube-context", s.KubeContext, "name of the kubeconfig context to use")
	fs.StringVar(&s.KubeToken, "kube-token", s.KubeToken, "bearer token used for authentication")
	fs.StringVar(&s.KubeAsUser, "kube-as-user", s.KubeAsUser, "username to impersonate")
	fs.StringArrayVar(&s.KubeAsGroups, "kube-as-group", s.KubeAsGroups, "group to impersonate (can be repeated)")
	fs.StringVar(&s.KubeAPIServer, "kube-apiserver", s.KubeAPIServer, "address and port of the Kubernetes API server")
	fs.StringVar(&s.KubeCAFile, "kube-ca-file", s.KubeCAFile, "certificate authority file for the Kubernetes API server")
	fs.StringVar(&s.KubeTLSServerName, "kube-tls-server-name", s.KubeTLSServerName,
		"server name that the certificate of the Kubernetes API server must have")
	fs.BoolVar(&s.KubeInsecure, "kube-insecure-skip-tls-verify", s.KubeInsecure,
		"do not check the certificate of the Kubernetes API server (insecure)")
	fs.BoolVar(&s.Debug, "debug", s.Debug, "enable verbose output")
	fs.StringVar(&s.RegistryConfig, "registry-config", s.RegistryConfig, "path to the registry config file")
	fs.StringVar(&s.RepositoryConfig, "repository-config", s.RepositoryConfig,
		"path to the file containing repository names and URLs")
	fs.StringVar(&s.RepositoryCache, "repository-cache", s.RepositoryCache,
		"path to the directory containing cached repository indexes")
	fs.IntVar(&s.burstLimit, "burst-limit", s.burstLimit, "client-side throttling limit (has no effect here)")
	fs.Float32Var(&s.qps, "qps", s.qps, "queries per second to the Kubernetes API (has no effect here)")
}

// Starters is the directory of the scaffolds for `helm create --starter`.
func (s *Settings) Starters() string { return filepath.Join(s.dataHome, "starters") }

// Variables is what `helm env` shows, for a helm called as bin that works in
// namespace.
func (s *Settings) Variables(bin, namespace string) map[string]string {
	vars := map[string]string{
		"HELM_BIN":                          bin,
		"HELM_BURST_LIMIT":                  strconv.Itoa(s.burstLimit),
		"HELM_CACHE_HOME":                   s.cacheHome,
		"HELM_CONFIG_HOME":                  s.configHome,
		"HELM_DATA_HOME":                    s.dataHome,
		"HELM_DEBUG":                        strconv.FormatBool(s.Debug),
		"HELM_KUBEAPISERVER":                s.KubeAPIServer,
		"HELM_KUBEASGROUPS":                 strings.Join(s.KubeAsGroups, ","),
		"HELM_KUBEASUSER":                   s.KubeAsUser,
		"HELM_KUBECAFILE":                   s.KubeCAFile,
		"HELM_KUBECONTEXT":                  s.KubeContext,
		"HELM_KUBEINSECURE_SKIP_TLS_VERIFY": strconv.FormatBool(s.KubeInsecure),
		"HELM_KUBETLS_SERVER_NAME":          s.KubeTLSServerName,
		"HELM_KUBETOKEN":                    s.KubeToken,
		"HELM_MAX_HISTORY":                  strconv.Itoa(s.MaxHistory),
		"HELM_NAMESPACE":                    namespace,
		"HELM_PLUGINS":                      s.pluginsDir,
		"HELM_QPS":                          strconv.FormatFloat(float64(s.qps), 'f', 2, 32),
		"HELM_REGISTRY_CONFIG":              s.RegistryConfig,
		"HELM_REPOSITORY_CACHE":             s.RepositoryCache,
		"HELM_REPOSITORY_CONFIG":            s.RepositoryConfig,
	}
	if s.KubeConfig != "" {
		vars["KUBECONFIG"] = s.KubeConfig
	}
	return vars
}

// environment reads variables as helm does.
type environment struct{ lookup Lookup }

func (e environment) get(name string) string {
	value, _ := e.lookup(name)
	return value
}

// or differs from get in that a variable may be set to nothing.
func (e environment) or(name, fallback string) string {
	if value, ok := e.lookup(name); ok {
		return value
	}
	return fallback
}

func (e environment) truth(name string) bool {
	value, err := strconv.ParseBool(e.get(name))
	return err == nil && value
}

func (e environment) number(name string, fallback int) int {
	if value, err := strconv.Atoi(e.get(name)); err == nil {
		return value
	}
	return fallback
}

func (e environment) list(name string) []string {
	text := strings.Trim(e.get(name), ", ")
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

// home is one of helm's three directories: its own variable names it, that of
// the desktop standard its parent.
func (e environment) home(own, standard, fallback string) string {
	if dir := e.get(own); dir != "" {
		return filepath.Clean(dir)
	}
	parent := e.get(standard)
	if parent == "" {
		parent = filepath.Join(e.get("HOME"), fallback)
	}
	return filepath.Join(parent, "helm")
}
