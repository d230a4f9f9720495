package toolbox

import (
	"context"
	"fmt"
	"path"

	"mvdan.cc/sh/v3/interp"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// Call is the interpreter's call handler. The interpreter answers `command -v`
// and `type` by looking for files in PATH, where the tools are not.
func (s *Shell) Call(ctx context.Context, args []string) ([]string, error) {
	mode := ""
	var names []string
	switch {
	case len(args) > 2 && args[0] == "command" && (args[1] == "-v" || args[1] == "-V"):
		mode, names = args[1], args[2:]
	case len(args) > 2 && args[0] == "type" && len(args[1]) == 2 && args[1][0] == '-':
		mode, names = "type"+args[1], args[2:]
	case len(args) > 1 && args[0] == "type":
		mode, names = "type", args[1:]
	default:
		return args, nil
	}
	for _, name := range names {
		if s.tools.find(name) == nil {
			return args, nil // the interpreter knows its functions and aliases
		}
	}
	hc := interp.HandlerCtx(ctx)
	for _, name := range names {
		at := path.Join(toolDir, path.Base(name))
		switch mode {
		case "-V", "type":
			fmt.Fprintf(hc.Stdout, "%s is %s\n", name, at)
		case "type-t":
			fmt.Fprintln(hc.Stdout, "file")
		default:
			fmt.Fprintln(hc.Stdout, at)
		}
	}
	return []string{"true"}, nil
}

// which prints where its arguments are.
func (t *Toolbox) which(_ context.Context, inv tool.Invocation) int {
	code := 0
	for _, name := range inv.Args {
		if t.find(name) == nil {
			code = 1
			continue
		}
		fmt.Fprintln(inv.Stdout, path.Join(toolDir, path.Base(name)))
	}
	return code
}
