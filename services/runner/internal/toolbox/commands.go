package toolbox

import (
	"maps"

	"github.com/towline/towline/services/runner/internal/syncer"
	"github.com/towline/towline/services/runner/internal/toolbox/checksum"
	"github.com/towline/towline/services/runner/internal/toolbox/columns"
	"github.com/towline/towline/services/runner/internal/toolbox/curl"
	"github.com/towline/towline/services/runner/internal/toolbox/date"
	"github.com/towline/towline/services/runner/internal/toolbox/diff"
	"github.com/towline/towline/services/runner/internal/toolbox/envsubst"
	"github.com/towline/towline/services/runner/internal/toolbox/git"
	"github.com/towline/towline/services/runner/internal/toolbox/grep"
	"github.com/towline/towline/services/runner/internal/toolbox/helm"
	"github.com/towline/towline/services/runner/internal/toolbox/jq"
	"github.com/towline/towline/services/runner/internal/toolbox/kubectl"
	"github.com/towline/towline/services/runner/internal/toolbox/kustomize"
	"github.com/towline/towline/services/runner/internal/toolbox/machine"
	"github.com/towline/towline/services/runner/internal/toolbox/place"
	"github.com/towline/towline/services/runner/internal/toolbox/tarball"
	"github.com/towline/towline/services/runner/internal/toolbox/tool"
	"github.com/towline/towline/services/runner/internal/toolbox/towline"
	"github.com/towline/towline/services/runner/internal/toolbox/wget"
	"github.com/towline/towline/services/runner/internal/toolbox/yq"
)

// builtIn is the table of the commands that run inside the job's process: one
// line for each name. To add a command, write a package beside this one whose
// Run is a tool.Command, and name it here.
func (t *Toolbox) builtIn(c Config) map[string]tool.Command {
	k := kubectl.New(c.TempDir)
	if c.Kubeconfig != "" {
		k.Own([]byte(c.Kubeconfig), c.Ahead)
	}
	commands := map[string]tool.Command{
		"base64":    checksum.Base64,
		"column":    tool.Buffered(columns.Column),
		"comm":      tool.Buffered(columns.Comm),
		"curl":      curl.New(c.Proxy).Run,
		"diff":      tool.Buffered(diff.Run),
		"date":      date.Run,
		"envsubst":  envsubst.Run,
		"flock":     place.Flock,
		"git":       tool.Buffered(git.New(git.Config{Proxy: c.Proxy, CA: c.GitCA, Repository: c.Repository}).Run),
		"helm":      helm.New(k, c.TempDir).Run,
		"install":   place.Install,
		"join":      tool.Buffered(place.Join),
		"jq":        tool.Buffered(jq.Run),
		"kubectl":   k.Run,
		"kustomize": kustomize.Run,
		"sleep":     sleep,
		"split":     place.Split,
		"timeout":   t.timeout,
		"towline":   towline.New(k, c.Ask, syncer.Outside{Proxy: c.Proxy, CA: c.GitCA}).Run,
		"wget":      wget.New(c.Proxy).Run,
		"which":     t.which,
		"yq":        yq.New(c.TempDir).Run,
	}
	maps.Copy(commands, checksum.Digests())
	maps.Copy(commands, machine.Commands())
	for name, command := range commands {
		if name != "curl" { // which ignores SIGPIPE and has an exit code for it
			commands[name] = tool.EndedByPipe(command)
		}
	}
	return commands
}

// variant is a command that runs instead of a program of the folders for some
// of its command lines.
type variant struct {
	wanted  func(args []string) bool
	command tool.Command
}

// anyArguments is for commands of which busybox's knows too little.
func anyArguments([]string) bool { return true }

// variants know options that the programs of busybox do not.
func variants() map[string]variant {
	return map[string]variant{
		"cut":      {columns.CutWanted, tool.EndedByPipe(tool.Buffered(columns.Cut))},
		"env":      {envWanted, tool.EndedByPipe(env)},
		"find":     {printfWanted, tool.EndedByPipe(findPrintf)},
		"grep":     {grep.Wanted, tool.EndedByPipe(grep.Run)},
		"mktemp":   {anyArguments, tool.EndedByPipe(place.Mktemp)},
		"realpath": {place.RealpathWanted, tool.EndedByPipe(place.Realpath)},
		"sort":     {checkWanted, tool.EndedByPipe(check)},
		"tar":      {tarball.Wanted, tool.EndedByPipe(tarball.Run)},
		"xargs":    {xargsWanted, tool.EndedByPipe(xargs)},
	}
}

// fallbacks stand in for programs that no toolbox folder holds.
func fallbacks() map[string]tool.Command {
	commands := coreCommands()
	commands["xargs"] = xargs
	commands["env"] = env
	commands["nice"] = nice
	commands["nohup"] = nice
	return commands
}
