package place

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/towline/towline/services/runner/internal/toolbox/getopt"
	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// Limits of mktemp.
const (
	fewestX      = 3
	maxTries     = 1000 // names that exist already
	usualPattern = "tmp.XXXXXXXXXX"
)

var mktempSpec = getopt.Spec{Short: "dp:qtu", Long: map[string]string{
	"directory": "d", "quiet": "q", "dry-run": "u", "tmpdir": "tmpdir::", "suffix": "suffix:",
}}

// temporary is one command.
type temporary struct {
	set     map[string]bool
	dir     string // "" is the working directory
	pattern string
	suffix  string
}

// Mktemp makes a file or a directory with a name that did not exist.
func Mktemp(ctx context.Context, inv tool.Invocation) int {
	options, operands, err := getopt.Parse(mktempSpec, inv.Args)
	if err == nil && len(operands) > 1 {
		err = errors.New("too many templates")
	}
	if err != nil {
		return fault(inv, "mktemp", err)
	}
	t := temporary{set: map[string]bool{}, pattern: usualPattern}
	given := ""
	for _, o := range options {
		t.set[o.Name] = true
		switch o.Name {
		case "p", "tmpdir":
			given = o.Value
		case "suffix":
			t.suffix = o.Value
		}
	}
	if len(operands) > 0 {
		t.pattern = operands[0]
	}
	if err := t.place(inv, given, len(operands) == 0); err != nil {
		fmt.Fprintf(inv.Stderr, "mktemp: %v\n", err)
		return 1
	}
	name, err := t.create(ctx, inv)
	if err != nil {
		if !t.set["q"] {
			what := "file"
			if t.set["d"] {
				what = "directory"
			}
			fmt.Fprintf(inv.Stderr, "mktemp: failed to create %s via template '%s': %s\n", what, t.path(t.pattern), tool.Reason(err))
		}
		return 1
	}
	fmt.Fprintln(inv.Stdout, name)
	return 0
}

// place finds the directory and the part of the name that is random.
func (t *temporary) place(inv tool.Invocation, given string, usual bool) error {
	whole := t.pattern
	if t.set["suffix"] && !strings.HasSuffix(whole, "X") {
		return fmt.Errorf("with --suffix, template '%s' must end in X", whole)
	}
	end := strings.LastIndexByte(whole, 'X') + 1
	if end == 0 || len(whole[:end])-len(strings.TrimRight(whole[:end], "X")) < fewestX {
		return fmt.Errorf("too few X's in template '%s'", whole)
	}
	t.suffix = whole[end:] + t.suffix
	if strings.Contains(t.suffix, "/") {
		return fmt.Errorf("invalid suffix '%s', contains directory separator", t.suffix)
	}
	t.pattern = whole[:end] + t.suffix
	if !usual && !t.set["p"] && !t.set["tmpdir"] && !t.set["t"] {
		return nil
	}
	switch {
	case t.set["t"] && strings.Contains(whole, "/"):
		return fmt.Errorf("invalid template, '%s', contains directory separator", whole)
	case filepath.IsAbs(whole):
		return fmt.Errorf("invalid template, '%s'; with --tmpdir, it may not be absolute", whole)
	}
	shared, _ := inv.Getenv("TMPDIR")
	switch {
	case t.set["t"] && shared != "":
		t.dir = shared
	case given != "":
		t.dir = given
	case shared != "":
		t.dir = shared
	default:
		t.dir = "/tmp"
	}
	return nil
}

func (t *temporary) path(name string) string {
	if t.dir == "" {
		return name
	}
	return strings.TrimSuffix(t.dir, "/") + "/" + name
}

// create tries names until one is free.
func (t *temporary) create(ctx context.Context, inv tool.Invocation) (string, error) {
	body := strings.TrimSuffix(t.pattern, t.suffix)
	stem := strings.TrimRight(body, "X")
	for range maxTries {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		var letters strings.Builder
		for letters.Len() < len(body)-len(stem) {
			letters.WriteString(rand.Text())
		}
		name := t.path(stem + letters.String()[:len(body)-len(stem)] + t.suffix)
		err := t.make(inv.Path(name))
		if !errors.Is(err, fs.ErrExist) {
			return name, err
		}
	}
	return "", fs.ErrExist
}

func (t *temporary) make(at string) error {
	switch {
	case t.set["u"]:
		_, err := os.Lstat(at)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return fs.ErrExist
	case t.set["d"]:
		return os.Mkdir(at, 0o700)
	}
	f, err := os.OpenFile(at, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}
