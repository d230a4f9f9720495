package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/towline/towline/tools/internal/repository"
)

const chart = "charts/towline"

func main() {
	write := flag.Bool("write", false, "write the files instead of comparing them")
	flag.Parse()
	if err := run(*write); err != nil {
		fmt.Fprintln(os.Stderr, "values:", err)
		os.Exit(1)
	}
}

func run(write bool) error {
	root, err := repository.Root()
	if err != nil {
		return err
	}
	source, err := os.ReadFile(filepath.Join(root, chart, "values.yaml"))
	if err != nil {
		return err
	}
	made, err := files(source)
	if err != nil {
		return fmt.Errorf("%s/values.yaml: %w", chart, err)
	}
	var faults []error
	for name, content := range made {
		path := filepath.Join(root, name)
		if write {
			if err := os.WriteFile(path, content, 0o644); err != nil { //nolint:gosec // G306: a source file
				return err
			}
			continue
		}
		if known, err := os.ReadFile(path); err != nil || !bytes.Equal(known, content) {
			faults = append(faults, fmt.Errorf("%s does not follow from values.yaml any more; run `make generate` and look at the change", name))
		}
	}
	return errors.Join(faults...)
}

// files are the generated ones, by their path in the repository.
func files(source []byte) (map[string][]byte, error) {
	v, err := parse(source)
	if err != nil {
		return nil, err
	}
	schema, err := v.schema()
	if err != nil {
		return nil, err
	}
	table := v.table()
	return map[string][]byte{
		chart + "/values.schema.json": schema,
		chart + "/README.md":          []byte(readme + table),
		"docs/reference/values.md":    []byte(reference + table),
	}, nil
}
