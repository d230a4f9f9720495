package toolbox

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"syscall"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// maxShebang is how much of a file is read to find its interpreter; the kernel
// reads less.
const maxShebang = 512

// interpreter is what a script's first line asks for.
type interpreter struct {
	name string // as a command
	args []string
	line string // as the file has it
}

// errNotScript says that a file is an executable of the machine's.
var errNotScript = errors.New("not a script")

// executable says which interpreter runs a file. Its errors are those of the
// file system, or errNotScript.
func executable(file string) (interpreter, error) {
	info, err := os.Stat(file)
	switch {
	case err != nil:
		return interpreter{}, err
	case info.IsDir():
		return interpreter{}, &os.PathError{Op: "run", Path: file, Err: syscall.EISDIR}
	case info.Mode()&0o111 == 0 || !info.Mode().IsRegular():
		return interpreter{}, &os.PathError{Op: "run", Path: file, Err: syscall.EACCES}
	}
	head, err := firstBytes(file)
	if err != nil {
		return interpreter{}, err
	}
	if script, ok := parseShebang(head); ok {
		return script, nil
	}
	// As under bash, a text without such a line is a script for the shell.
	line, _, _ := bytes.Cut(head, []byte("\n"))
	if bytes.IndexByte(line, 0) >= 0 || bytes.HasPrefix(head, []byte("\x7fELF")) {
		return interpreter{}, errNotScript
	}
	return interpreter{name: "bash"}, nil
}

// shebang finds the interpreter of a file of the toolbox folders.
func shebang(file string) (interpreter, bool) {
	if file == "" {
		return interpreter{}, false
	}
	head, err := firstBytes(file)
	if err != nil {
		return interpreter{}, false
	}
	return parseShebang(head)
}

func firstBytes(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxShebang))
}

func parseShebang(head []byte) (interpreter, bool) {
	line, _, _ := bytes.Cut(head, []byte("\n"))
	text, ok := strings.CutPrefix(string(bytes.TrimRight(line, "\r")), "#!")
	words := strings.Fields(text)
	if !ok || len(words) == 0 {
		return interpreter{}, false
	}
	script := interpreter{name: words[0], args: words[1:], line: strings.TrimSpace(text)}
	if path.Base(words[0]) == "env" && len(words) > 1 {
		args := words[1:]
		if args[0] == "-S" {
			args = args[1:]
		}
		if len(args) > 0 {
			script.name, script.args = args[0], args[1:]
		}
	}
	// The interpreter may be named by any path; it is one of ours or none.
	if strings.HasPrefix(script.name, "/") {
		script.name = path.Base(script.name)
	}
	return script, true
}

// refuse says why a file is not run.
func (t *Toolbox) refuse(inv tool.Invocation, err error, place string) int {
	if errors.Is(err, os.ErrNotExist) {
		fmt.Fprintf(inv.Stderr, "%s%s: No such file or directory\n", place, inv.Name)
		if wellKnown[path.Base(inv.Name)] {
			t.suggest(inv, path.Base(inv.Name))
		}
		return exitNotFound
	}
	why := tool.Reason(err)
	if errors.Is(err, errNotScript) {
		why = "Permission denied: only programs of the toolbox folder are executed on this runner; " + elsewhere
	}
	fmt.Fprintf(inv.Stderr, "%s%s: %s\n", place, inv.Name, why)
	return exitCannotRun
}
