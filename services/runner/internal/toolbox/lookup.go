package toolbox

import (
	"context"
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// Found is a command that a name stands for.
type Found struct {
	Path    string       // as `command -v` answers
	command tool.Command // of this process, or
	program string       // the file to execute
}

// Find looks a command up: first those of this process, then the programs of
// the folders, then what stands in for them. A path is looked up by its base
// when its directory is one that scripts expect commands in.
func (t *Toolbox) Find(name string) (Found, bool) {
	dir, base := path.Split(name)
	if dir != "" {
		dir = path.Clean(dir)
		if !t.programs.Holds(dir) && !strings.Contains(":"+usualDirs+":", ":"+dir+":") {
			return Found{}, false
		}
	}
	at, isProgram := t.programs.Find(base)
	if command, ok := t.commands[base]; ok {
		if !isProgram {
			at = path.Join(toolDir, base)
		}
		return Found{Path: at, command: command}, true
	}
	if isProgram {
		return Found{Path: at, program: at}, true
	}
	if command, ok := t.fallbacks[base]; ok {
		return Found{Path: path.Join(toolDir, base), command: command}, true
	}
	return Found{}, false
}

// Program returns the file that a name starts, or "" when it is a command of
// this process or nothing.
func (t *Toolbox) Program(name string) string {
	found, _ := t.Find(name)
	return found.program
}

// Look is Find for the words of a script: it also finds scripts, by their path
// or in the directories of PATH, and returns where they are.
func (t *Toolbox) Look(inv tool.Invocation, name string) (at string, ok bool) {
	if found, ok := t.Find(name); ok {
		return found.Path, true
	}
	if strings.Contains(name, "/") {
		_, err := executable(inv.Path(name))
		return name, err == nil
	}
	return t.inPath(inv, name)
}

// inPath looks for an executable file in the directories of PATH.
func (t *Toolbox) inPath(inv tool.Invocation, name string) (at string, ok bool) {
	search, _ := inv.Getenv("PATH")
	if name == "" || name == "." || name == ".." {
		return "", false
	}
	for _, dir := range filepath.SplitList(search) {
		if strings.Contains(":"+usualDirs+":", ":"+dir+":") {
			continue // nothing of the machine's own is run
		}
		at := filepath.Join(inv.Path(dir), name)
		if _, err := executable(at); err == nil {
			return at, true
		}
	}
	return "", false
}

// which prints where its arguments are.
func (t *Toolbox) which(_ context.Context, inv tool.Invocation) int {
	code := 0
	for _, name := range inv.Args {
		if name == "-a" || name == "--" {
			continue
		}
		at, ok := t.Look(inv, name)
		if !ok {
			code = 1
			continue
		}
		fmt.Fprintln(inv.Stdout, at)
	}
	return code
}
