package helm

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/cli/output"
)

// operationTimeout is how long helm waits for one operation of the cluster.
const operationTimeout = 300 * time.Second

// develVersion is what --devel stands for.
const develVersion = ">0.0.0-0"

// Texts of flags that several commands have.
const (
	usageDevel   = "use development versions, too. Equivalent to version '" + develVersion + "'. Ignored with --version"
	usageTimeout = "time to wait for any individual Kubernetes operation (like Jobs for hooks)"
	usageWait    = "wait until all objects are ready, for as long as --timeout"
	usageJobs    = "with --wait, wait also until all Jobs are completed"
	usageHistory = "limit the number of revisions saved per release (0 for no limit)"
	usageCert    = "identify the client using this SSL certificate file"
	usageKey     = "identify the client using this SSL key file"
	usageCA      = "verify certificates of HTTPS-enabled servers using this CA bundle"
	usageTLS     = "skip tls certificate checks"
	usagePlain   = "use insecure HTTP connections"
	usageSchema  = "do not validate values with the chart's JSON schema"
	usageKeyring = "location of public keys used for verification"
)

// remote is how a server of charts is reached. Its paths are as the script
// gave them.
type remote struct {
	username, password       string
	certFile, keyFile        string
	caFile                   string
	skipTLSVerify, plainHTTP bool
}

func (r *remote) addFlags(fs *pflag.FlagSet) {
	fs.StringVar(&r.username, "username", "", "chart repository username")
	fs.StringVar(&r.password, "password", "", "chart repository password")
	fs.StringVar(&r.certFile, "cert-file", "", usageCert)
	fs.StringVar(&r.keyFile, "key-file", "", usageKey)
	fs.BoolVar(&r.skipTLSVerify, "insecure-skip-tls-verify", false, usageTLS)
	fs.BoolVar(&r.plainHTTP, "plain-http", false, usagePlain)
	fs.StringVar(&r.caFile, "ca-file", "", usageCA)
}

// source is where a chart comes from.
type source struct {
	remote
	version, repoURL, keyring string
	verify, passCredentials   bool
	devel                     bool
}

func (c *command) addSourceFlags(fs *pflag.FlagSet, s *source) {
	s.addFlags(fs)
	fs.StringVar(&s.version, "version", "", "version or version constraint of the chart (e.g. 1.1.1, ^2.0.0); the latest if not given")
	fs.BoolVar(&s.verify, "verify", false, "verify the package before using it")
	fs.StringVar(&s.keyring, "keyring", c.defaultKeyring(), usageKeyring)
	fs.StringVar(&s.repoURL, "repo", "", "chart repository url where to locate the requested chart")
	fs.BoolVar(&s.passCredentials, "pass-credentials", false, "pass credentials to all domains")
	fs.BoolVar(&s.devel, "devel", false, usageDevel)
}

// options gives the library the source, with a version if --devel asks for one.
func (c *command) options(s *source) action.ChartPathOptions {
	c.debugf("Original chart version: %q", s.version)
	if s.version == "" && s.devel {
		c.debugf("setting version to %s", develVersion)
		s.version = develVersion
	}
	return action.ChartPathOptions{
		CaFile: c.abs(s.caFile), CertFile: c.abs(s.certFile), KeyFile: c.abs(s.keyFile),
		InsecureSkipTLSverify: s.skipTLSVerify, PlainHTTP: s.plainHTTP,
		Keyring: c.abs(s.keyring), Username: s.username, Password: s.password, PassCredentialsAll: s.passCredentials,
		RepoURL: s.repoURL, Verify: s.verify, Version: s.version,
	}
}

func (c *command) defaultKeyring() string {
	if home, ok := c.inv.Getenv("GNUPGHOME"); ok {
		return filepath.Join(home, "pubring.gpg")
	}
	home, _ := c.inv.Getenv("HOME")
	return filepath.Join(home, ".gnupg", "pubring.gpg")
}

// formatFlag is the value of --output.
type formatFlag struct{ format *output.Format }

func (f formatFlag) String() string {
	if f.format == nil {
		return ""
	}
	return f.format.String()
}

// Type implements pflag.Value.
func (formatFlag) Type() string { return "format" }

// Set implements pflag.Value.
func (f formatFlag) Set(text string) error {
	format, err := output.ParseFormat(text)
	if err == nil {
		*f.format = format
	}
	return err
}

// outputFlag adds --output.
func outputFlag(cmd *cobra.Command) *output.Format {
	format := output.Table
	cmd.Flags().VarP(formatFlag{&format}, "output", "o",
		"prints the output in the specified format. Allowed values: "+strings.Join(output.Formats(), ", "))
	return &format
}

func addDryRunFlag(fs *pflag.FlagSet, value *string) {
	fs.StringVar(value, "dry-run", "",
		"simulate the command; without a value or with 'client' without the cluster, with 'server' asking the cluster")
	fs.Lookup("dry-run").NoOptDefVal = "client"
}

// errDryRun is helm's.
var errDryRun = errors.New("Invalid dry-run flag. Flag must one of the following: false, true, none, client, server") //nolint:staticcheck // helm's text

func checkDryRun(value string) error {
	if slices.Contains([]string{"false", "true", "none", "client", "server"}, value) {
		return nil
	}
	return errDryRun
}
