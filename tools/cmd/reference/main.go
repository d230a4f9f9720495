package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/towline/towline/tools/internal/repository"
)

func main() {
	write := flag.Bool("write", false, "write the pages instead of comparing them")
	flag.Parse()
	if err := run(context.Background(), *write); err != nil {
		fmt.Fprintln(os.Stderr, "reference:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, write bool) error {
	root, err := repository.Root()
	if err != nil {
		return err
	}
	made := map[string][]byte{}
	if made["settings.md"], err = settingsPage(ctx, root); err != nil {
		return err
	}
	if made["metrics.md"], err = metricsPage(root); err != nil {
		return err
	}
	var faults []error
	for name, content := range made {
		path := filepath.Join(root, "docs", "reference", name)
		if write {
			faults = append(faults, os.WriteFile(path, content, 0o644)) //nolint:gosec // G306: a source file
			continue
		}
		if known, err := os.ReadFile(path); err != nil || !bytes.Equal(known, content) {
			faults = append(faults, fmt.Errorf("docs/reference/%s is stale; run `make generate` and look at the change", name))
		}
	}
	return errors.Join(faults...)
}
