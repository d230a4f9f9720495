package kubectl

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	apiversion "k8s.io/apimachinery/pkg/version"
	"k8s.io/component-base/version"
	"sigs.k8s.io/yaml"
)

// Modules whose versions kubectl reports, and what stands in for them where
// the binary has no build information (test binaries).
const (
	kubectlModule     = "k8s.io/kubectl"
	fallbackKubectl   = "v0.37.2"
	kustomizeModule   = "sigs.k8s.io/kustomize/kustomize/v5"
	fallbackKustomize = "v5.8.1"
)

// clientVersion is the version of the linked kubectl. Upstream learns it from
// -ldflags "-X k8s.io/component-base/version.gitVersion=..."; a build without
// them would call itself v0.0.0, so the module's version is translated: module
// v0.37.2 is Kubernetes v1.37.2.
var clientVersion = sync.OnceValue(func() apiversion.Info {
	v := version.Get()
	if strings.HasPrefix(v.GitVersion, "v0.0.0") {
		v.GitVersion = "v1." + strings.TrimPrefix(moduleVersion(kubectlModule, fallbackKubectl), "v0.")
		v.GitCommit = ""
		if parts := strings.SplitN(strings.TrimPrefix(v.GitVersion, "v"), ".", 3); len(parts) == 3 {
			v.Major, v.Minor = parts[0], parts[1]
		}
	}
	return v
})

// userAgent is what client-go would make of the right version.
var userAgent = sync.OnceValue(func() string {
	return fmt.Sprintf("kubectl/%s (%s/%s) towline", clientVersion().GitVersion, runtime.GOOS, runtime.GOARCH)
})

func moduleVersion(path, fallback string) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == path && strings.HasPrefix(m.Version, "v") {
				return m.Version
			}
		}
	}
	return fallback
}

// versions is the answer of `kubectl version -o json|yaml`.
type versions struct {
	ClientVersion    *apiversion.Info `json:"clientVersion,omitempty"`
	KustomizeVersion string           `json:"kustomizeVersion,omitempty"`
	ServerVersion    *apiversion.Info `json:"serverVersion,omitempty"`
}

// versionCommand stands in for upstream's, which reads what only -ldflags set.
func (c *command) versionCommand() *cobra.Command {
	var clientOnly bool
	var output string
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the client and server version information",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			client := clientVersion()
			v := versions{ClientVersion: &client, KustomizeVersion: moduleVersion(kustomizeModule, fallbackKustomize)}
			var serverErr error
			if !clientOnly {
				d, err := c.getter.ToDiscoveryClient()
				if err != nil {
					return err
				}
				v.ServerVersion, serverErr = d.ServerVersion()
			}
			if err := c.printVersions(v, output); err != nil {
				return err
			}
			return serverErr
		},
	}
	cmd.Flags().BoolVar(&clientOnly, "client", false, "If true, shows client version only (no server required).")
	cmd.Flags().StringVarP(&output, "output", "o", "", "One of 'yaml' or 'json'.")
	return cmd
}

func (c *command) printVersions(v versions, output string) error {
	switch output {
	case "":
		fmt.Fprintf(c.streams.Out, "Client Version: %s\nKustomize Version: %s\n", v.ClientVersion.GitVersion, v.KustomizeVersion)
		if v.ServerVersion != nil {
			fmt.Fprintf(c.streams.Out, "Server Version: %s\n", v.ServerVersion.GitVersion)
		}
		return nil
	case "json":
		text, err := json.MarshalIndent(v, "", "  ")
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(c.streams.Out, string(text))
		return err
	case "yaml":
		text, err := yaml.Marshal(v)
		if err != nil {
			return err
		}
		_, err = c.streams.Out.Write(text)
		return err
	}
	return fmt.Errorf("--output must be 'yaml' or 'json'")
}
