package main

import (
	"fmt"
	"strings"

	"golang.org/x/mod/modfile"
	gomodule "golang.org/x/mod/module"
	"golang.org/x/mod/semver"

	"github.com/towline/towline/tools/internal/repository"
)

// wanted is the parsed list.
type wanted struct {
	toolchain string            // the go line
	versions  map[string]string // by module path, or by a pattern that ends in /*
}

// parse reads lines of a path or pattern and a version, and one "go VERSION".
func parse(text string) (*wanted, error) {
	w := &wanted{versions: map[string]string{}}
	for n, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		switch {
		case len(words) == 0:
		case len(words) != 2:
			return nil, fmt.Errorf("line %d: want a module and its version", n+1)
		case words[0] == "go":
			w.toolchain = words[1]
		case !semver.IsValid(words[1]):
			return nil, fmt.Errorf("line %d: %s is not a version", n+1, words[1])
		default:
			if _, twice := w.versions[words[0]]; twice {
				return nil, fmt.Errorf("line %d: %s is there twice", n+1, words[0])
			}
			w.versions[words[0]] = words[1]
		}
	}
	if w.toolchain == "" {
		return nil, fmt.Errorf("no line with the version of go")
	}
	return w, nil
}

// of returns the version for a module, or "" if the list does not say. A pattern
// covers the paths one level below it: k8s.io/* is k8s.io/api, and not
// k8s.io/klog/v2, which has versions of its own.
func (w *wanted) of(path string) string {
	if v := w.versions[path]; v != "" {
		return v
	}
	if i := strings.LastIndex(path, "/"); i > 0 {
		return w.versions[path[:i]+"/*"]
	}
	return ""
}

// compare returns what is not as wanted in the go.mod files. Only what a module
// requires itself counts: the rest follows from it. Modules of the workspace are
// built together, so the list must name what two of them require; the others only
// keep to what it names.
func compare(want *wanted, modules []repository.Module, together func(dir string) bool) []error {
	var faults []error
	users := map[string]string{} // the last module of the workspace that requires a path
	for _, m := range modules {
		fault := func(format string, args ...any) {
			faults = append(faults, fmt.Errorf("%s/go.mod: "+format, append([]any{m.Dir}, args...)...))
		}
		if m.File.Go == nil || m.File.Go.Version != want.toolchain {
			fault("its go line is not %s", want.toolchain)
		}
		for _, r := range m.File.Replace {
			if problem := judge(want.of(r.New.Path), r.New.Version, ""); problem != "" {
				fault("replacement %s%s", r.New.Path, problem)
			}
		}
		for _, r := range direct(m.File) {
			user := ""
			if together(m.Dir) {
				user = users[r.Path]
				users[r.Path] = m.Dir
			}
			if problem := judge(want.of(r.Path), r.Version, user); problem != "" {
				fault("%s%s", r.Path, problem)
			}
		}
	}
	return faults
}

// direct lists the third-party modules that a module imports itself.
func direct(f *modfile.File) []gomodule.Version {
	var all []gomodule.Version
	for _, r := range f.Require {
		if !r.Indirect && !strings.HasPrefix(r.Mod.Path, repository.ModulePrefix) {
			all = append(all, r.Mod)
		}
	}
	return all
}

// judge says what is wrong with a version, if anything: another one is wanted, or
// none is although another user of the module, if there is one, may have chosen
// differently.
func judge(want, got, user string) string {
	switch {
	case want != "" && want != got:
		return " is " + got + ", want " + want
	case want == "" && user != "":
		return ", required by " + user + " too, is not in " + list
	default:
		return ""
	}
}

// align sets what compare would complain of, as far as the list says.
func align(want *wanted, f *modfile.File) error {
	if err := f.AddGoStmt(want.toolchain); err != nil {
		return err
	}
	for _, r := range f.Require {
		if v := want.of(r.Mod.Path); v != "" && v != r.Mod.Version && !r.Indirect {
			if err := f.AddRequire(r.Mod.Path, v); err != nil {
				return err
			}
		}
	}
	for _, r := range f.Replace {
		if v := want.of(r.New.Path); v != "" && v != r.New.Version {
			if err := f.AddReplace(r.Old.Path, r.Old.Version, r.New.Path, v); err != nil {
				return err
			}
		}
	}
	return nil
}
