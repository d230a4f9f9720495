package helm

import (
	"io"
	"log"
	"os"
	"runtime/debug"
	"strings"
	"sync"

	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/kube"
)

// The linked modules, and their versions where the binary has no build
// information (test binaries).
const (
	helmModule         = "helm.sh/helm/v3"
	fallbackVersion    = "v3.22.0"
	kubernetesModule   = "k8s.io/client-go"
	fallbackKubernetes = "v0.37.2"
)

var setUpProcess = sync.OnceFunc(func() {
	kube.ManagedFieldsManager = "helm"
	// Upstream learns these versions from -ldflags; charts ask for them.
	chartutil.DefaultCapabilities.HelmVersion.Version = moduleVersion(helmModule, fallbackVersion)
	chartutil.DefaultCapabilities.KubeVersion = kubeVersion(moduleVersion(kubernetesModule, fallbackKubernetes))
	// The library warns of charts and values through the standard log.
	log.SetFlags(log.Lshortfile)
	log.SetOutput(libraryLog)
})

// kubeVersion is the Kubernetes that charts are rendered for where no cluster is
// asked: that of the linked client, whose v0.37.2 means v1.37.0, as in helm.
func kubeVersion(client string) chartutil.KubeVersion {
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

// libraryLog is where the lines of the standard log go.
var libraryLog = &logRouter{streams: map[*io.Writer]bool{}}

// logRouter gives each line to the standard error of every command that runs at
// the moment, nearly always one, since a line does not say whose it is. All of
// them belong to the same job.
type logRouter struct {
	mu      sync.Mutex
	streams map[*io.Writer]bool
}

// attach adds a command's standard error and returns what takes it away again.
func (l *logRouter) attach(w io.Writer) func() {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := &w
	l.streams[key] = true
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.streams, key)
	}
}

// Write implements io.Writer.
func (l *logRouter) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.streams) == 0 {
		return os.Stderr.Write(line)
	}
	for w := range l.streams {
		_, _ = (*w).Write(line) // nobody is left to tell
	}
	return len(line), nil
}
