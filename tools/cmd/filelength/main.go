package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/towline/towline/tools/internal/repository"
)

// generated is the line by which Go tools recognise generated code.
var generated = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)

func main() {
	code := flag.Int("code", 400, "most `lines` of a file")
	tests := flag.Int("tests", 500, "most `lines` of a test file")
	flag.Parse()
	root, err := repository.Root()
	if err == nil {
		err = check(root, *code, *tests)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// check joins one error for each file below root that is too long.
func check(root string, code, tests int) error {
	var faults []error
	err := repository.Walk(root, func(path string) error {
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		text, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			return err
		}
		limit := code
		if strings.HasSuffix(path, "_test.go") {
			limit = tests
		}
		if n := bytes.Count(text, []byte("\n")); n > limit && !generated.Match(text) {
			faults = append(faults, fmt.Errorf("%s: %d lines, the limit is %d: split it by what its parts are about", filepath.ToSlash(path), n, limit))
		}
		return nil
	})
	return errors.Join(append(faults, err)...)
}
