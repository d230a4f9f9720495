package toolbox

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

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
	"github.com/u-root/u-root/pkg/core/tar"
	"github.com/u-root/u-root/pkg/core/touch"
	"mvdan.cc/sh/v3/interp"

	"github.com/towline/towline/services/runner/internal/toolbox/kubectl"
)

// coreCommands are u-root's, those that mvdan.cc/sh/moreinterp/coreutils lists
// except xargs, which would execute programs.
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
		"tar":    func() core.Command { return tar.New() },
		"touch":  func() core.Command { return touch.New() },
	}
	out := make(map[string]command, len(builders))
	for name, build := range builders {
		out[name] = func(ctx context.Context, hc interp.HandlerContext, _ *Shell, args []string) int {
			cmd := build()
			cmd.SetIO(hc.Stdin, hc.Stdout, hc.Stderr)
			cmd.SetWorkingDir(hc.Dir)
			operands, code := args[1:], 0
			if name == "ls" {
				operands, code = existing(hc, operands)
			}
			cmd.SetLookupEnv(func(key string) (string, bool) {
				v := hc.Env.Get(key)
				return v.Str, v.Exported && v.Set
			})
			if operands == nil {
				return code
			}
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

// exitLs is what ls returns for an operand that it cannot show.
const exitLs = 2

// existing takes the operands of ls that cannot be shown out of args and says
// so: u-root's ls writes such errors to standard output and returns 0. It
// returns nil when none is left.
func existing(hc interp.HandlerContext, args []string) ([]string, int) {
	out, code, named, flags := []string{}, 0, 0, true
	for _, arg := range args {
		if flags && strings.HasPrefix(arg, "-") && arg != "-" {
			flags = arg != "--"
			out = append(out, arg)
			continue
		}
		file := arg
		if !filepath.IsAbs(file) {
			file = filepath.Join(hc.Dir, file)
		}
		if err := readable(file); err != nil {
			fmt.Fprintf(hc.Stderr, "ls: cannot access '%s': %s\n", arg, reason(err))
			code = exitLs
			continue
		}
		named++
		out = append(out, arg)
	}
	if code != 0 && named == 0 {
		return nil, code
	}
	return out, code
}

// readable says whether ls can show a file or list a directory.
func readable(file string) error {
	info, err := os.Stat(file)
	if err != nil {
		_, err = os.Lstat(file)
		return err
	}
	if !info.IsDir() {
		return nil
	}
	dir, err := os.Open(file)
	if err != nil {
		return err
	}
	return dir.Close()
}

// reason is an error in the words of the C library.
func reason(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "No such file or directory"
	case errors.Is(err, fs.ErrPermission):
		return "Permission denied"
	}
	return err.Error()
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
