package toolbox

import (
	"context"
	"errors"
	"flag"
	"fmt"

	"github.com/u-root/u-root/pkg/core"
	"github.com/u-root/u-root/pkg/core/base64"
	"github.com/u-root/u-root/pkg/core/cat"
	"github.com/u-root/u-root/pkg/core/chmod"
	"github.com/u-root/u-root/pkg/core/cp"
	"github.com/u-root/u-root/pkg/core/find"
	"github.com/u-root/u-root/pkg/core/gzip"
	"github.com/u-root/u-root/pkg/core/ls"
	"github.com/u-root/u-root/pkg/core/mkdir"
	"github.com/u-root/u-root/pkg/core/mktemp"
	"github.com/u-root/u-root/pkg/core/mv"
	"github.com/u-root/u-root/pkg/core/rm"
	"github.com/u-root/u-root/pkg/core/shasum"
	"github.com/u-root/u-root/pkg/core/touch"
	"mvdan.cc/sh/v3/interp"

	"github.com/towline/towline/services/runner/internal/toolbox/kubectl"
)

// coreCommands are u-root's, those that mvdan.cc/sh/moreinterp/coreutils lists
// except xargs, which would execute programs, and tar, which can neither pack
// relative paths nor work without a directory to unpack into.
func coreCommands() map[string]command {
	builders := map[string]func() core.Command{
		"base64": func() core.Command { return base64.New() },
		"cat":    func() core.Command { return cat.New() },
		"chmod":  func() core.Command { return chmod.New() },
		"cp":     func() core.Command { return cp.New() },
		"find":   func() core.Command { return find.New() },
		"gunzip": func() core.Command { return gzip.New("gunzip") },
		"gzcat":  func() core.Command { return gzip.New("gzcat") },
		"gzip":   func() core.Command { return gzip.New("gzip") },
		"ls":     func() core.Command { return ls.New() },
		"mkdir":  func() core.Command { return mkdir.New() },
		"mktemp": func() core.Command { return mktemp.New() },
		"mv":     func() core.Command { return mv.New() },
		"rm":     func() core.Command { return rm.New() },
		"shasum": func() core.Command { return shasum.New() },
		"touch":  func() core.Command { return touch.New() },
	}
	out := make(map[string]command, len(builders))
	for name, build := range builders {
		out[name] = func(ctx context.Context, hc interp.HandlerContext, _ *Shell, args []string) int {
			operands, code := args[1:], 0
			stdout := hc.Stdout
			switch name {
			case "ls":
				operands, code = lsOperands(hc, operands)
			case "find":
				stdout = findOutput(hc, operands)
			case "gzip", "gunzip", "gzcat":
				if !hasOperand(operands) {
					return gzipStream(hc, name, operands)
				}
			}
			if operands == nil {
				return code
			}
			cmd := build()
			cmd.SetIO(hc.Stdin, stdout, hc.Stderr)
			cmd.SetWorkingDir(hc.Dir)
			cmd.SetLookupEnv(func(key string) (string, bool) {
				v := hc.Env.Get(key)
				return v.Str, v.Exported && v.Set
			})
			err := cmd.RunContext(ctx, operands...)
			switch {
			case err == nil:
				return code
			case errors.Is(err, flag.ErrHelp):
				return 0
			}
			fmt.Fprintf(hc.Stderr, "%s: %v\n", name, err)
			return 1
		}
	}
	return out
}

// kubectlCommand hands a command to the embedded kubectl.
func kubectlCommand(k *kubectl.Kubectl) command {
	return func(ctx context.Context, hc interp.HandlerContext, _ *Shell, args []string) int {
		return k.Run(ctx, kubectl.Invocation{
			Args: args[1:], Dir: hc.Dir, Stdin: hc.Stdin, Stdout: hc.Stdout, Stderr: hc.Stderr,
			Getenv: func(key string) (string, bool) {
				v := hc.Env.Get(key)
				return v.String(), v.Exported && v.IsSet()
			},
		})
	}
}
