package tarball

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// Exit codes of tar.
const (
	exitDiffers = 1 // a file changed while it was read
	exitTrouble = 2
	exitUsage   = 64
)

// maxList is what a file of -X or -T may have, in bytes.
const maxList = 64 << 20

// unrecoverable is an error after which tar does no more.
type unrecoverable struct{ error }

// Unwrap returns the error itself.
func (u unrecoverable) Unwrap() error { return u.error }

// archive is what writing, listing and extracting have in common.
type archive struct {
	*request
	inv     tool.Invocation
	names   io.Writer // where -v writes to
	warned  map[string]bool
	width   int // of owner and size in long lines, which only grows
	trouble bool
	code    int
}

// Run is the command.
func Run(ctx context.Context, inv tool.Invocation) int {
	given, err := parse(inv.Args)
	if err != nil {
		complain(inv, err)
		hint(inv)
		var old oldOption
		if errors.As(err, &old) {
			return exitTrouble
		}
		return exitUsage
	}
	inv.Stderr = &shared{to: inv.Stderr}
	a := &archive{inv: inv, names: inv.Stdout, warned: map[string]bool{}}
	if a.request, err = read(given, inv.Dir, a.list); err == nil {
		switch a.mode {
		case 'c':
			err = a.create(ctx)
		default:
			err = a.unpack(ctx)
		}
	}
	var fatal unrecoverable
	switch {
	case errors.As(err, &fatal):
		complain(inv, err)
		fmt.Fprintln(inv.Stderr, "tar: Error is not recoverable: exiting now")
		return exitTrouble
	case err != nil:
		complain(inv, err)
		var bad badValue
		if !errors.As(err, &bad) {
			hint(inv)
		}
		return exitTrouble
	case a.trouble:
		fmt.Fprintln(inv.Stderr, "tar: Exiting with failure status due to previous errors")
		return exitTrouble
	}
	return a.code
}

// shared is a writer of this command and of those that it runs at the same
// time.
type shared struct {
	mu sync.Mutex
	to io.Writer
}

// Write implements io.Writer.
func (s *shared) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.to.Write(p)
}

func complain(inv tool.Invocation, err error) { fmt.Fprintf(inv.Stderr, "tar: %s\n", tool.Reason(err)) }

func hint(inv tool.Invocation) {
	fmt.Fprintln(inv.Stderr, "Try 'tar --help' or 'tar --usage' for more information.")
}

// fail tells of an error after which the work goes on.
func (a *archive) fail(name, what string, err error) {
	a.trouble = true
	if err != nil {
		what += ": " + tool.Reason(err)
	}
	a.say(name, what)
}

func (a *archive) say(name, what string) {
	fmt.Fprintf(a.inv.Stderr, "tar: %s: %s\n", quote(name), what)
}

// once warns of something that concerns many names.
func (a *archive) once(text string) {
	if !a.warned[text] {
		a.warned[text] = true
		fmt.Fprintf(a.inv.Stderr, "tar: %s\n", text)
	}
}

// list reads the lines of -X or -T.
func (a *archive) list(file string, zero bool) ([]string, error) {
	in := a.inv.Stdin
	if file != "-" {
		f, err := os.Open(a.inv.Path(file))
		if err != nil {
			return nil, unrecoverable{fmt.Errorf("%s: Cannot open: %s", file, tool.Reason(err))}
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxList+1))
	if err == nil && len(text) > maxList {
		err = fmt.Errorf("more than %d bytes of names", maxList)
	}
	if err != nil {
		return nil, unrecoverable{fmt.Errorf("%s: Cannot read: %s", file, tool.Reason(err))}
	}
	end := "\n"
	if zero || bytes.IndexByte(text, 0) >= 0 {
		if !zero {
			a.say(file, "file name read contains nul character")
		}
		end = "\x00"
	}
	return strings.Split(strings.TrimSuffix(string(text), end), end), nil
}

// join is a path below a directory. Unlike filepath.Join it leaves .. for the
// file system, where the directory before it may be a link.
func join(dir, name string) string {
	switch {
	case filepath.IsAbs(name):
		return name
	case name == "":
		return dir
	}
	return strings.TrimSuffix(dir, "/") + "/" + name
}

// safe takes away what of a name leads outside of where an archive is
// extracted.
func (a *archive) safe(name, what string) string {
	if a.set["P"] {
		return name
	}
	cut := 0
	for i := 0; i < len(name); {
		n := strings.IndexByte(name[i:], '/')
		end := i + n
		if n < 0 {
			end = len(name)
		}
		if name[i:end] == ".." {
			cut = end
		}
		i = end + 1
	}
	for cut < len(name) && name[cut] == '/' {
		cut++
	}
	if cut > 0 {
		a.once(fmt.Sprintf("Removing leading `%s' from %s", quote(name[:cut]), what))
		name = name[cut:]
	}
	if name == "" && what == memberNames {
		a.once("Substituting `.' for empty member name")
		name = "."
	}
	return name
}

const (
	memberNames = "member names"
	linkNames   = "hard link targets"
)

// renamed applies --transform.
func (a *archive) renamed(name string, as kind) string {
	for _, s := range a.transforms {
		if s.kinds[as] {
			name = s.apply(name)
		}
	}
	return name
}

// quote shows a name on one line.
func quote(name string) string {
	var out strings.Builder
	for _, c := range []byte(name) {
		at := strings.IndexByte("\a\b\f\n\r\t\v\\", c)
		switch {
		case at >= 0:
			out.WriteString(`\` + `abfnrtv\`[at:at+1])
		case c < ' ' || c == 0x7f:
			fmt.Fprintf(&out, `\%03o`, c)
		default:
			out.WriteByte(c)
		}
	}
	return out.String()
}
