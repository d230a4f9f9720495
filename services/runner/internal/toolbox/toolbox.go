package toolbox

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/towline/towline/services/runner/internal/toolbox/callback"
	"github.com/towline/towline/services/runner/internal/toolbox/kubectl"
	"github.com/towline/towline/services/runner/internal/toolbox/program"
	"github.com/towline/towline/services/runner/internal/toolbox/tmpdir"
	"github.com/towline/towline/services/runner/internal/toolbox/tool"
	"github.com/towline/towline/services/runner/internal/toolbox/towline"
)

// What a script sees as its PATH, after the toolbox folders, and as its shell.
// Nothing needs to exist there: commands of the job's own process answer to
// these paths, because scripts name them.
const (
	usualPath = "/usr/local/bin:/usr/bin:/bin"
	usualDirs = usualPath + ":/usr/local/sbin:/usr/sbin:/sbin"
	toolDir   = "/usr/bin"
	ShellPath = "/bin/bash"
)

// SearchPath is the PATH of a job with these toolbox folders.
func SearchPath(folders []string) string {
	return strings.Join(append(slices.Clone(folders), usualPath), ":")
}

// Config is what the commands of one job share.
type Config struct {
	TempDir    string   // for what commands must put into files
	Proxy      string   // way out for URLs; "" means none is set up
	GitCA      string   // PEM that git trusts beside the system's; may be empty
	Repository string   // URL of the job's own repository
	Kubeconfig string   // content of the job's kubeconfig
	Ahead      bool     // ask the cluster what it can do before a command does
	Folders    []string // read-only directories of static programs
	Tmp        tmpdir.Dir
	// Ask asks the runner about entries of gitops; nil outside of a job.
	Ask towline.Ask
}

// Toolbox is the commands of one job. Its methods may be called at the same
// time, but Add only before the first command runs.
type Toolbox struct {
	commands  map[string]tool.Command
	fallbacks map[string]tool.Command
	variants  map[string]variant
	programs  program.Folders
	calls     *callback.Server // nil without folders
	way       []string         // variables that show programs the way out
	tmp       tmpdir.Dir
}

// Warm does what can be done before a job is known.
func Warm() { kubectl.Warm() }

// New builds the commands of a job. It may be called once per process: URLs
// that commands open go through the proxy from then on.
func New(c Config) (*Toolbox, error) {
	if c.Proxy != "" {
		u, err := url.Parse(c.Proxy)
		if err != nil {
			return nil, fmt.Errorf("proxy address cannot be read") // the address holds a secret
		}
		// kubectl opens the URLs of -f with the default client.
		if t, ok := http.DefaultTransport.(*http.Transport); ok {
			t.Proxy = http.ProxyURL(u)
		}
		// helm's own clients know only the environment of the process.
		for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY"} {
			if err := os.Setenv(name, c.Proxy); err != nil {
				return nil, err
			}
		}
	}
	t := &Toolbox{fallbacks: fallbacks(), variants: variants(), way: wayOut(c.Proxy), programs: c.Folders, tmp: c.Tmp}
	t.commands = t.builtIn(c)
	if err := t.programs.Check(); err != nil {
		return nil, err
	}
	if len(c.Folders) > 0 {
		calls, err := callback.NewServer(t.Run)
		if err != nil {
			return nil, err
		}
		t.calls = calls
	}
	return t, nil
}

// Close ends what New has started. Commands under way go on.
func (t *Toolbox) Close() error {
	if t.calls == nil {
		return nil
	}
	return t.calls.Close()
}

// Tmp is the job's own /tmp.
func (t *Toolbox) Tmp() tmpdir.Dir { return t.tmp }

// Add gives a command a name in the job's own process.
func (t *Toolbox) Add(name string, command tool.Command) { t.commands[name] = command }

// BuiltIn lists the commands of the job's own process, sorted.
func (t *Toolbox) BuiltIn() []string { return slices.Sorted(maps.Keys(t.commands)) }

// Names lists everything that can be run by name, sorted.
func (t *Toolbox) Names() []string {
	names := slices.Concat(slices.Collect(maps.Keys(t.commands)), slices.Collect(maps.Keys(t.fallbacks)), t.programs.Names())
	slices.Sort(names)
	return slices.Compact(names)
}
