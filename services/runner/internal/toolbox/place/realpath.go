package place

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/towline/towline/services/runner/internal/toolbox/getopt"
	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

var realpathSpec = getopt.Spec{Short: "emqsz", Long: map[string]string{
	"relative-to": "relative-to:", "relative-base": "relative-base:", "canonicalize-existing": "e", "canonicalize-missing": "m", "quiet": "q",
	"strip": "s", "no-symlinks": "s", "zero": "z",
}}

// RealpathWanted says whether a command line has an option that only this
// realpath knows.
func RealpathWanted(args []string) bool {
	return slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, "-") && len(a) > 1 })
}

// Realpath prints where its operands are, without links and dots.
func Realpath(_ context.Context, inv tool.Invocation) int {
	options, operands, err := getopt.Parse(realpathSpec, inv.Args)
	if err == nil && len(operands) == 0 {
		err = errors.New("missing operand")
	}
	if err != nil {
		return fault(inv, "realpath", err)
	}
	mode, end, to, base := "", "\n", "", ""
	quiet := false
	for _, o := range options {
		switch o.Name {
		case "e", "m", "s":
			mode = o.Name
		case "z":
			end = "\x00"
		case "q":
			quiet = true
		case "relative-to":
			to = o.Value
		case "relative-base":
			base = o.Value
		}
	}
	resolve := func(p string) (string, error) { return resolved(inv.Path(p), mode) }
	var wrong error
	for _, at := range []*string{&to, &base} {
		if *at != "" && wrong == nil {
			*at, wrong = resolve(*at)
		}
	}
	if wrong != nil {
		return fail(inv, "realpath", "directory of the option", wrong)
	}
	code := 0
	for _, operand := range operands {
		at, err := resolve(operand)
		if err != nil {
			if code = 1; !quiet {
				fail(inv, "realpath", operand, err)
			}
			continue
		}
		fmt.Fprint(inv.Stdout, relative(at, to, base), end)
	}
	return code
}

func relative(at, to, base string) string {
	inside := base == "" || at == base || strings.HasPrefix(at, strings.TrimSuffix(base, "/")+"/")
	if to == "" {
		to = base
	}
	if to == "" || !inside {
		return at
	}
	if rel, err := filepath.Rel(to, at); err == nil {
		return rel
	}
	return at
}

// resolved follows links. As with GNU, the last part of a path may be missing,
// with -e nothing may, with -m anything.
func resolved(p, mode string) (string, error) {
	if mode == "s" {
		return filepath.Clean(p), nil
	}
	at, err := filepath.EvalSymlinks(p)
	if err == nil || mode == "e" || !errors.Is(err, os.ErrNotExist) {
		return at, err
	}
	p = filepath.Clean(p)
	parent := "e"
	if mode == "m" {
		parent = "m"
	}
	if p == "/" {
		return p, nil
	}
	dir, err := resolved(filepath.Dir(p), parent)
	return filepath.Join(dir, filepath.Base(p)), err
}
