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

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// coreCommands are u-root's, those that mvdan.cc/sh/moreinterp/coreutils lists
// except xargs, which would execute programs, and tar, which can neither pack
// relative paths nor work without a directory to unpack into.
func coreCommands() map[string]tool.Command {
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
	out := make(map[string]tool.Command, len(builders))
	for name, build := range builders {
		out[name] = func(ctx context.Context, inv tool.Invocation) int {
			operands, code := inv.Args, 0
			stdout := inv.Stdout
			switch name {
			case "ls":
				operands, code = lsOperands(inv, operands)
			case "find":
				stdout = findOutput(inv, operands)
			case "gzip", "gunzip", "gzcat":
				if !hasOperand(operands) {
					return gzipStream(inv, name, operands)
				}
			}
			if operands == nil {
				return code
			}
			cmd := build()
			cmd.SetIO(inv.Stdin, stdout, inv.Stderr)
			cmd.SetWorkingDir(inv.Dir)
			cmd.SetLookupEnv(inv.Getenv)
			err := cmd.RunContext(ctx, operands...)
			switch {
			case err == nil:
				return code
			case errors.Is(err, flag.ErrHelp):
				return 0
			}
			fmt.Fprintf(inv.Stderr, "%s: %v\n", name, err)
			return 1
		}
	}
	return out
}
