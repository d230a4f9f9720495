package toolbox

import (
	"maps"

	"github.com/towline/towline/services/runner/internal/toolbox/checksum"
	"github.com/towline/towline/services/runner/internal/toolbox/columns"
	"github.com/towline/towline/services/runner/internal/toolbox/curl"
	"github.com/towline/towline/services/runner/internal/toolbox/diff"
	"github.com/towline/towline/services/runner/internal/toolbox/envsubst"
	"github.com/towline/towline/services/runner/internal/toolbox/git"
	"github.com/towline/towline/services/runner/internal/toolbox/helm"
	"github.com/towline/towline/services/runner/internal/toolbox/jq"
	"github.com/towline/towline/services/runner/internal/toolbox/kubectl"
	"github.com/towline/towline/services/runner/internal/toolbox/kustomize"
	"github.com/towline/towline/services/runner/internal/toolbox/tool"
	"github.com/towline/towline/services/runner/internal/toolbox/towline"
	"github.com/towline/towline/services/runner/internal/toolbox/yq"
)

// builtIn is the table of the commands that run inside the job's process: one
// line for each name. To add a command, write a package beside this one whose
// Run is a tool.Command, and name it here.
func (t *Toolbox) builtIn(c Config) map[string]tool.Command {
	k := kubectl.New(c.TempDir)
	if c.Kubeconfig != "" {
		k.Prefetch([]byte(c.Kubeconfig))
	}
	commands := map[string]tool.Command{
		"base64":    checksum.Base64,
		"column":    columns.Column,
		"comm":      columns.Comm,
		"curl":      curl.New(c.Proxy).Run,
		"diff":      diff.Run,
		"envsubst":  envsubst.Run,
		"git":       git.New(git.Config{Proxy: c.Proxy, CA: c.GitCA, Repository: c.Repository}).Run,
		"helm":      helm.New(k, c.TempDir).Run,
		"jq":        jq.Run,
		"kubectl":   k.Run,
		"kustomize": kustomize.Run,
		"sleep":     sleep,
		"timeout":   timeout,
		"towline":   towline.New(k).Run,
		"which":     t.which,
		"yq":        yq.New(c.TempDir).Run,
	}
	maps.Copy(commands, checksum.Digests())
	for name, command := range commands {
		if name != "curl" { // which ignores SIGPIPE and has an exit code for it
			commands[name] = tool.EndedByPipe(command)
		}
	}
	return commands
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
