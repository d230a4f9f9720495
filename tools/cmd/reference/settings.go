package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/towline/towline/tools/internal/repository"
)

// setting is one option as --help has it.
type setting struct{ option, variable, usage string }

var head = regexp.MustCompile(`^  (--\S+)(?: (\S+))?  (TOWLINE_\S+)$`)

// settingsPage asks each service for its options.
func settingsPage(ctx context.Context, root string) ([]byte, error) {
	var out bytes.Buffer
	out.WriteString("# Settings of the services\n\nMade of what each service says with `--help`. An option, an environment variable and, in the chart, a value are the same\n" +
		"setting; an option given on the command line wins. The chart's values are in [values](values.md).\n" +
		"Only the tunnel's `--config` and `--kubeconfig` have none: they are for services that the chart has not installed.\n")
	for _, service := range repository.Services {
		cmd := exec.CommandContext(ctx, "go", "run", "./services/"+service, "--help")                          //nolint:gosec // G204: our own sources
		cmd.Dir, cmd.Env = root, append(os.Environ(), "GOWORK="+filepath.Join(root, "go.work"), "TMPDIR=/tmp") // a default is below it
		var failed bytes.Buffer
		cmd.Stderr = &failed
		text, err := cmd.Output()
		if err != nil && len(text) == 0 { // help may end with a status of its own
			return nil, fmt.Errorf("%s --help: %w\n%s", service, err, failed.String())
		}
		all, err := parseHelp(string(text))
		if err != nil {
			return nil, fmt.Errorf("%s --help: %w", service, err)
		}
		fmt.Fprintf(&out, "\n## %s\n\n| option | variable | what it is |\n| --- | --- | --- |\n", service)
		for _, s := range all {
			fmt.Fprintf(&out, "| `%s` | `%s` | %s |\n", s.option, s.variable, cell(s.usage))
		}
	}
	return out.Bytes(), nil
}

// parseHelp reads what pkg/service prints: a line with the option and its
// variable, and a line with what it is.
func parseHelp(text string) ([]setting, error) {
	var all []setting
	lines := strings.Split(text, "\n")
	for n, line := range lines {
		m := head.FindStringSubmatch(line)
		if m == nil {
			if strings.HasPrefix(line, "  --") {
				return nil, fmt.Errorf("line %d is not understood: %q", n+1, line)
			}
			continue
		}
		if n+1 == len(lines) {
			return nil, fmt.Errorf("line %d: %s is not explained", n+1, m[1])
		}
		all = append(all, setting{m[1], m[3], strings.TrimSpace(lines[n+1])})
	}
	if len(all) < 5 {
		return nil, fmt.Errorf("only %d options found in %q", len(all), text)
	}
	return all, nil
}

// cell is text as a cell of a table.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "<", `\<`).Replace(text)
}
