package library

import (
	"fmt"
	"log"
	"maps"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"

	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/kube"
	"k8s.io/client-go/rest"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
	"k8s.io/kubectl/pkg/validation"
)

// The linked modules, and their versions where the binary has no build
// information (test binaries).
const (
	helmModule       = "helm.sh/helm/v3"
	kubernetesModule = "k8s.io/client-go"

	FallbackVersion    = "v3.22.0"
	FallbackKubernetes = "v0.37.2"
)

// SetUp gives the library what it keeps per process: the name under which it
// writes objects, the versions that charts ask for, which upstream learns from
// -ldflags, and where its lines go. Further calls do nothing.
var SetUp = sync.OnceFunc(func() {
	log.SetOutput(lines)
	kube.ManagedFieldsManager = "helm"
	chartutil.DefaultCapabilities.HelmVersion.Version = Version()
	chartutil.DefaultCapabilities.KubeVersion = KubeVersion(moduleVersion(kubernetesModule, FallbackKubernetes))
})

// Version is the version of the linked library, such as v3.22.0.
func Version() string { return moduleVersion(helmModule, FallbackVersion) }

// KubeVersion is the Kubernetes that charts are rendered for where no cluster is
// asked: that of the linked client, whose v0.37.2 means v1.37.0, as in helm.
func KubeVersion(client string) chartutil.KubeVersion {
	minor, _, _ := strings.Cut(strings.TrimPrefix(client, "v0."), ".")
	return chartutil.KubeVersion{Version: "v1." + minor + ".0", Major: "1", Minor: minor}
}

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

// Client makes cfg that of a helm client: its name, and its patience with a
// cluster whose etcd has just changed its leader.
func Client(cfg *rest.Config) {
	cfg.UserAgent = fmt.Sprintf("Helm/%s (%s/%s) towline", strings.TrimPrefix(Version(), "v"), runtime.GOOS, runtime.GOARCH)
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper { return &kube.RetryingRoundTripper{Wrapped: next} })
}

// Factory is kubectl's, except that nothing is validated by the client. Servers
// since 1.27 validate fields themselves, and helm's own check then only fetches
// and parses OpenAPI documents to find that out.
type Factory struct{ cmdutil.Factory }

// Validator implements kube.Factory.
func (Factory) Validator(string) (validation.Schema, error) { return validation.NullSchema{}, nil }

// Overlay is below with the values of above in their place, map by map. Neither
// is changed; what they hold is shared with the result.
func Overlay(below, above map[string]any) map[string]any {
	out := maps.Clone(below)
	for key, value := range above {
		inner, isMap := value.(map[string]any)
		under, wasMap := out[key].(map[string]any)
		if isMap && wasMap {
			value = Overlay(under, inner)
		}
		out[key] = value
	}
	return out
}
