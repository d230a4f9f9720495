package toolbox

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// What follows makes good for where u-root's commands differ most from those
// that scripts are written for.

// exitLs is what ls returns for an operand that it cannot show.
const exitLs = 2

// lsOperands leaves u-root's ls the directories: it shows nothing for a file,
// and writes errors to standard output and returns 0. It returns nil when
// nothing is left to show.
func lsOperands(inv tool.Invocation, args []string) ([]string, int) {
	long := slices.ContainsFunc(args, func(a string) bool {
		return strings.HasPrefix(a, "-") && strings.Contains(a, "l")
	})
	out, code, left, named, flags := []string{}, 0, 0, 0, true
	for _, arg := range args {
		if flags && strings.HasPrefix(arg, "-") && arg != "-" {
			flags = arg != "--"
			out = append(out, arg)
			continue
		}
		named++
		folder, err := listable(abs(inv, arg))
		switch {
		case err != nil:
			fmt.Fprintf(inv.Stderr, "ls: cannot access '%s': %s\n", arg, reason(err))
			code = exitLs
		case !folder && !long:
			fmt.Fprintln(inv.Stdout, arg)
		default:
			left++
			out = append(out, arg)
		}
	}
	if named > 0 && left == 0 {
		return nil, code
	}
	return out, code
}

func abs(inv tool.Invocation, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(inv.Dir, path)
}

// listable says whether ls can show a file, and whether it is a directory.
func listable(file string) (folder bool, err error) {
	info, err := os.Stat(file)
	if err != nil {
		_, err = os.Lstat(file)
		return false, err
	}
	if !info.IsDir() {
		return false, nil
	}
	dir, err := os.Open(file)
	if err != nil {
		return true, err
	}
	return true, dir.Close()
}

// reason is an error in the words of the C library.
func reason(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "No such file or directory"
	case errors.Is(err, fs.ErrPermission):
		return "Permission denied"
	}
	return err.Error()
}

// findOutput turns the absolute paths of u-root's find into paths that begin
// as the operand does.
func findOutput(inv tool.Invocation, args []string) io.Writer {
	operand := "."
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		operand = args[0]
	}
	if filepath.IsAbs(operand) {
		return inv.Stdout
	}
	return &prefixWriter{w: inv.Stdout, from: []byte(filepath.Join(inv.Dir, operand)), to: []byte(strings.TrimRight(operand, "/"))}
}

// prefixWriter replaces a prefix of each write; find writes line by line.
type prefixWriter struct {
	w        io.Writer
	from, to []byte
}

func (p *prefixWriter) Write(b []byte) (int, error) {
	text := b
	if rest, ok := bytes.CutPrefix(b, p.from); ok {
		text = append(append([]byte{}, p.to...), rest...)
	}
	if _, err := p.w.Write(text); err != nil {
		return 0, err
	}
	return len(b), nil
}

func hasOperand(args []string) bool {
	return slices.ContainsFunc(args, func(a string) bool { return !strings.HasPrefix(a, "-") })
}

// gzipStream packs or unpacks standard input; u-root's gzip would read that of
// the process.
func gzipStream(inv tool.Invocation, name string, args []string) int {
	unpack := name != "gzip"
	for _, arg := range args {
		switch arg {
		case "-d", "--decompress", "-dc", "-cd":
			unpack = true
		case "-c", "--stdout", "-f", "-n", "-k", "-q", "-1", "-2", "-3", "-4", "-5", "-6", "-7", "-8", "-9", "-":
		default:
			fmt.Fprintf(inv.Stderr, "%s: option %s is not supported on this runner\n", name, arg)
			return 1
		}
	}
	if err := gzipCopy(inv.Stdout, inv.Stdin, unpack); err != nil {
		fmt.Fprintf(inv.Stderr, "%s: %v\n", name, err)
		return 1
	}
	return 0
}

func gzipCopy(w io.Writer, r io.Reader, unpack bool) error {
	if unpack {
		z, err := gzip.NewReader(r)
		if err != nil {
			return err
		}
		_, err = io.Copy(w, z) //nolint:gosec // gunzip has no limit of its own; it writes to the job's pipe or directory
		return err
	}
	z := gzip.NewWriter(w)
	if _, err := io.Copy(z, r); err != nil {
		return err
	}
	return z.Close()
}
