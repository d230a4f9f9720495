package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"

	"github.com/towline/towline/tools/internal/repository"
)

// page says of each module why it is required.
const page = "docs/dependencies.md"

// documented checks that the page has a row for each module that a go.mod of
// the repository requires itself, and for no other.
func documented(root string) error {
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(page)))
	if err != nil {
		return err
	}
	recorded := rows(string(text))
	modules, err := repository.Modules(root)
	if err != nil {
		return err
	}
	var faults []error
	for _, m := range modules {
		if d := difference(recorded[m.Dir], direct(m.File)); d != "" {
			faults = append(faults, fmt.Errorf("%s, section %q, must say why each module is required, and no other:\n%s", page, m.Dir, d))
		}
		delete(recorded, m.Dir)
	}
	for dir := range recorded {
		faults = append(faults, fmt.Errorf("%s has a section %q, and there is no such module", page, dir))
	}
	return errors.Join(faults...)
}

// rows reads the modules in the first column of each section's table.
func rows(page string) map[string][]string {
	out := map[string][]string{}
	section := ""
	for line := range strings.Lines(page) {
		if name, ok := strings.CutPrefix(line, "## "); ok {
			section = strings.TrimSpace(name)
			out[section] = nil
			continue
		}
		cells := strings.Split(line, "|")
		if len(cells) < 3 || section == "" {
			continue
		}
		for path := range strings.SplitSeq(cells[1], ",") {
			if path = strings.TrimSpace(path); strings.Contains(path, ".") {
				out[section] = append(out[section], path)
			}
		}
	}
	for s := range out {
		slices.Sort(out[s])
	}
	return out
}

// direct lists the third-party modules that a go.mod requires itself, sorted.
// A tool's module counts, which go marks as an indirect one.
func direct(mod *modfile.File) []string {
	var out []string
	for _, r := range mod.Require {
		tool := slices.ContainsFunc(mod.Tool, func(t *modfile.Tool) bool { return strings.HasPrefix(t.Path, r.Mod.Path+"/") })
		if !r.Indirect || tool {
			out = append(out, r.Mod.Path)
		}
	}
	return thirdParty(strings.Join(out, "\n"))
}
