package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"

	"github.com/towline/towline/tools/internal/repository"
)

func main() {
	write := flag.Bool("write", false, "write the files instead of comparing them")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *write); err != nil {
		fmt.Fprintln(os.Stderr, "deps:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, write bool) error {
	root, err := repository.Root()
	if err != nil {
		return err
	}
	var faults []error
	for _, service := range repository.Services {
		dir := filepath.Join(root, "services", service)
		linked, err := linked(ctx, dir)
		if err != nil {
			return err
		}
		file := filepath.Join(dir, "deps.txt")
		if write {
			if err := os.WriteFile(file, []byte(strings.Join(linked, "\n")+"\n"), 0o644); err != nil { //nolint:gosec // G306: a source file
				return err
			}
			continue
		}
		recorded, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if d := difference(strings.Fields(string(recorded)), linked); d != "" {
			faults = append(faults, fmt.Errorf("services/%s/deps.txt is stale; run `make generate` and look at the change:\n%s", service, d))
		}
	}
	if !write {
		faults = append(faults, documented(root))
	}
	return errors.Join(faults...)
}

// linked lists the modules of the packages that the released binary of the
// service in dir consists of, without the workspace, as it is built.
func linked(ctx context.Context, dir string) ([]string, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list in %s: %w\n%s", dir, err, stderr.String())
	}
	return thirdParty(string(out)), nil
}

// thirdParty sorts the module paths in text, each once, without ours.
func thirdParty(text string) []string {
	paths := slices.DeleteFunc(strings.Fields(text), func(path string) bool {
		return strings.HasPrefix(path, repository.ModulePrefix)
	})
	slices.Sort(paths)
	return slices.Compact(paths)
}

// difference says what must be added to and removed from recorded; it is empty
// if nothing must.
func difference(recorded, linked []string) string {
	var b strings.Builder
	for _, path := range recorded {
		if !slices.Contains(linked, path) {
			fmt.Fprintf(&b, "  - %s\n", path)
		}
	}
	for _, path := range linked {
		if !slices.Contains(recorded, path) {
			fmt.Fprintf(&b, "  + %s\n", path)
		}
	}
	return b.String()
}
