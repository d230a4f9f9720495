package toolbox

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"runtime/debug"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"

	"github.com/towline/towline/services/runner/internal/toolbox/kubectl"
	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// What a script sees as its PATH and its shell. Nothing exists there: the names
// are only what `command -v` answers.
const (
	Path      = "/usr/local/bin:/usr/bin:/bin"
	ShellPath = "/bin/bash"
	toolDir   = "/usr/bin"
)

// Exit codes of commands that did not run.
const (
	exitCannotRun = 126
	exitNotFound  = 127
	exitPanic     = 70
)

// Config is what the commands of one job share.
type Config struct {
	TempDir    string // for what commands must put into files
	Proxy      string // way out for URLs; "" means none is set up
	Kubeconfig string // content of the job's kubeconfig
}

// Toolbox is the commands of one job.
type Toolbox struct {
	commands map[string]tool.Command
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
	}
	k := kubectl.New(c.TempDir)
	if c.Kubeconfig != "" {
		k.Prefetch([]byte(c.Kubeconfig))
	}
	t := &Toolbox{}
	t.commands = map[string]tool.Command{
		"kubectl": k.Run,
		"sleep":   sleep,
		"which":   t.which,
		"xargs":   xargs,
	}
	for name, fn := range coreCommands() {
		t.commands[name] = fn
	}
	return t, nil
}

// Shell is the toolbox as one script sees it.
type Shell struct {
	tools *Toolbox
	line  func(uint) uint
}

// Shell gives the handlers for one script. line translates a line of the text
// that the interpreter runs into a line of the script as its author knows it.
func (t *Toolbox) Shell(line func(uint) uint) *Shell { return &Shell{tools: t, line: line} }

// Exec is the interpreter's middleware for commands. It is the last one: next
// would execute a program and is never called.
func (s *Shell) Exec(interp.ExecHandlerFunc) interp.ExecHandlerFunc {
	return func(ctx context.Context, args []string) error {
		hc := interp.HandlerCtx(ctx)
		place := fmt.Sprintf("bash: line %d: ", s.line(hc.Pos.Line()))
		code := s.tools.run(ctx, tool.Invocation{
			Name: args[0], Args: args[1:], Dir: hc.Dir, Environ: environ(hc.Env),
			Stdin: hc.Stdin, Stdout: hc.Stdout, Stderr: hc.Stderr,
		}, place)
		if err := ctx.Err(); err != nil {
			return err // ends the script
		}
		if code != 0 {
			return interp.ExitStatus(code)
		}
		return nil
	}
}

// environ lists the exported variables.
func environ(env expand.Environ) []string {
	var out []string
	for name, v := range env.Each {
		if v.Exported && v.IsSet() && v.Kind == expand.String {
			out = append(out, name+"="+v.Str)
		}
	}
	return out
}

// run carries out one command in a goroutine's stead: a crash of an embedded
// command is a failure of that command alone. place begins the messages of the
// shell itself.
func (t *Toolbox) run(ctx context.Context, inv tool.Invocation, place string) (code int) {
	defer func() {
		if p := recover(); p != nil {
			fmt.Fprintf(inv.Stderr, "%s: internal error: %v\n", inv.Name, p)
			_, _ = os.Stderr.Write(debug.Stack())
			code = exitPanic
		}
	}()
	inv.Run = func(ctx context.Context, inner tool.Invocation) int { return t.run(ctx, inner, "bash: ") }
	if fn := t.find(inv.Name); fn != nil {
		return leaving(ctx, func() int { return fn(ctx, inv) })
	}
	return unknown(inv, place)
}

// leaving waits for a command or for the end of ctx, whichever comes first: a
// command that does not listen is left behind, and the end of the process,
// which is near then, ends it.
func leaving(ctx context.Context, fn func() int) int {
	done := make(chan int, 1)
	var crash any
	go func() {
		defer func() {
			if crash = recover(); crash != nil {
				_, _ = os.Stderr.Write(debug.Stack())
				close(done)
			}
		}()
		done <- fn()
	}()
	select {
	case code, ok := <-done:
		if !ok {
			panic(crash)
		}
		return code
	case <-ctx.Done():
		return 1
	}
}

// find looks a command up by its name or by the path `command -v` gave for it.
func (t *Toolbox) find(name string) tool.Command {
	if fn, ok := t.commands[name]; ok {
		return fn
	}
	dir, base := path.Split(name)
	if dir == "" || !strings.Contains(":"+Path+":", ":"+strings.TrimSuffix(dir, "/")+":") {
		return nil
	}
	return t.commands[base]
}

// wellKnown are tools whose absence deserves an explanation.
var wellKnown = map[string]bool{}

func init() {
	for _, name := range strings.Fields(`apk apt apt-get ar awk aws az basename bash bc bzip2 cmp comm curl cut date dd df diff
		dirname docker du egrep env expr fgrep flux gcloud git glab go grep gsutil head helm hostname id install
		jq kustomize ln make md5sum mkfifo nc nl node npm openssl paste patch perl pip ps python python3
		readlink realpath rsync ruby sed seq sh sha256sum skaffold sort split ssh stat su sudo tac tail tar tee terraform timeout
		tr uname uniq unzip wc wget whoami xz yq zip`) {
		wellKnown[name] = true
	}
}

func unknown(inv tool.Invocation, place string) int {
	name := inv.Name
	if strings.Contains(name, "/") {
		file := name
		if !filepath.IsAbs(file) {
			file = filepath.Join(inv.Dir, file)
		}
		if info, err := os.Stat(file); err == nil {
			why := "Permission denied: programs from files are not executed on this runner"
			if info.IsDir() {
				why = "Is a directory"
			}
			fmt.Fprintf(inv.Stderr, "%s%s: %s\n", place, name, why)
			return exitCannotRun
		}
		if !wellKnown[path.Base(name)] {
			fmt.Fprintf(inv.Stderr, "%s%s: No such file or directory\n", place, name)
			return exitNotFound
		}
	}
	fmt.Fprintf(inv.Stderr, "%s%s: command not found\n", place, name)
	if wellKnown[path.Base(name)] {
		fmt.Fprintf(inv.Stderr, "bash: %s is not among the built-in commands of this runner, which runs jobs without an image\n", path.Base(name))
	}
	return exitNotFound
}
