package shell

import (
	"context"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/towline/towline/services/runner/internal/toolbox"
)

// BenchmarkCommands compares what one command costs: a builtin, a command of
// this process, a program, and a command that a program calls back for.
func BenchmarkCommands(b *testing.B) {
	dir, err := folder()
	if err != nil {
		b.Fatal(err)
	}
	tools, err := toolbox.New(toolbox.Config{TempDir: b.TempDir(), Folders: []string{dir}})
	if err != nil {
		b.Fatal(err)
	}
	sh, err := New(tools)
	if err != nil {
		b.Fatal(err)
	}
	for name, command := range map[string]string{
		"builtin": "true", "in process": "sleep 0", "nested shell": "sh -c true", "program": "busybox true", "called back": "busybox env sleep 0",
	} {
		b.Run(name, func(b *testing.B) {
			err := sh.Run(context.Background(), Script{
				Text: "for ((i = 0; i < $1; i++)); do " + command + "; done", Name: "bash", Args: []string{strconv.Itoa(b.N)},
				Dir: b.TempDir(), Environ: []string{"PATH=" + toolbox.SearchPath([]string{dir})},
				Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard,
			})
			if err != nil {
				b.Fatal(err)
			}
		})
	}
}
