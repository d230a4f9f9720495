package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/towline/towline/tools/internal/repository"
)

var declaration = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(\w+ \*testing\.F\)`)

func main() {
	each := flag.Duration("time", 10*time.Second, "how `long` each target runs")
	match := flag.String("run", "", "only the targets that match this `pattern`, for example pkg/grant or FuzzVerify")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *each, *match, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "fuzz:", err)
		os.Exit(1)
	}
}

// target is one fuzz function.
type target struct {
	dir  string // its package's directory, relative to the root, with slashes
	name string
}

func (t target) String() string { return t.dir + "." + t.name }

func run(ctx context.Context, each time.Duration, match string, out io.Writer) error {
	wanted, err := regexp.Compile(match)
	if err != nil {
		return err
	}
	root, err := repository.Root()
	if err != nil {
		return err
	}
	found, err := targets(root)
	if err != nil {
		return err
	}
	var faults []error
	for _, t := range found {
		if !wanted.MatchString(t.String()) {
			continue
		}
		fmt.Fprintf(out, "== %s for %s\n", t, each)
		// A small minimising budget: within a short run it would otherwise
		// spend the whole time on the first interesting input.
		cmd := exec.CommandContext(ctx, "go", "test", "-run=^$", "-fuzz=^"+t.name+"$", "-fuzztime="+each.String(), "-fuzzminimizetime=20x", ".") //nolint:gosec // G204: our own sources
		cmd.Dir = filepath.Join(root, t.dir)
		cmd.Env = append(os.Environ(), "GOWORK=off") // every module builds alone, also those outside the workspace
		cmd.Stdout, cmd.Stderr = out, os.Stderr
		if err := cmd.Run(); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", t, err))
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return errors.Join(faults...)
}

// targets finds the fuzz functions in the test files below root.
func targets(root string) ([]target, error) {
	var found []target
	err := repository.Walk(root, func(file string) error {
		if !strings.HasSuffix(file, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			return err
		}
		for _, m := range declaration.FindAllSubmatch(text, -1) {
			found = append(found, target{dir: path.Dir(filepath.ToSlash(file)), name: string(m[1])})
		}
		return nil
	})
	return found, err
}
