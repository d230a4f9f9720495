package place

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/towline/towline/services/runner/internal/toolbox/getopt"
	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// usualMode is what install gives to files and directories.
const usualMode = 0o755

var installSpec = getopt.Spec{Short: "bcCdDg:m:o:pst:Tv", Long: map[string]string{
	"directory": "d", "mode": "m", "target-directory": "t", "no-target-directory": "T", "verbose": "v", "preserve-timestamps": "p", "compare": "C",
	"group": "g", "owner": "o", "strip": "s",
}}

// installation is one command.
type installation struct {
	inv    tool.Invocation
	mode   os.FileMode
	set    map[string]bool
	target string
}

// Install copies files with their permissions, or makes directories.
func Install(_ context.Context, inv tool.Invocation) int {
	options, operands, err := getopt.Parse(installSpec, inv.Args)
	in := &installation{inv: inv, mode: usualMode, set: map[string]bool{}}
	for _, o := range options {
		in.set[o.Name] = true
		switch o.Name {
		case "m":
			mode, e := strconv.ParseUint(o.Value, 8, 12)
			if e != nil {
				err = fmt.Errorf("invalid mode '%s': write it in octal digits", o.Value)
			}
			in.mode = permissions(mode)
		case "t":
			in.target = o.Value
		case "g", "o", "s":
			err = fmt.Errorf("option -%s is not supported on this runner: a job owns its files itself and has no strip", o.Name)
		}
	}
	if err == nil && len(operands) == 0 {
		err = errors.New("missing file operand")
	}
	if err != nil {
		return fault(inv, "install", err)
	}
	if in.set["d"] {
		return in.directories(operands)
	}
	return in.files(operands)
}

// permissions are those of octal digits.
func permissions(digits uint64) os.FileMode {
	mode := os.FileMode(digits & 0o777)
	for bit, flag := range map[uint64]os.FileMode{0o4000: os.ModeSetuid, 0o2000: os.ModeSetgid, 0o1000: os.ModeSticky} {
		if digits&bit != 0 {
			mode |= flag
		}
	}
	return mode
}

func (in *installation) directories(names []string) int {
	code := 0
	for _, name := range names {
		at := in.inv.Path(name)
		err := os.MkdirAll(at, usualMode)
		if err == nil {
			err = os.Chmod(at, in.mode)
		}
		if err != nil {
			code = fail(in.inv, "install", fmt.Sprintf("cannot create directory '%s'", name), err)
		} else if in.set["v"] {
			fmt.Fprintf(in.inv.Stdout, "install: creating directory '%s'\n", name)
		}
	}
	return code
}

func (in *installation) files(operands []string) int {
	target := in.target
	if target == "" {
		if len(operands) == 1 {
			return fault(in.inv, "install", fmt.Errorf("missing destination file operand after '%s'", operands[0]))
		}
		target, operands = operands[len(operands)-1], operands[:len(operands)-1]
	}
	info, err := os.Stat(in.inv.Path(target))
	into := err == nil && info.IsDir() && !in.set["T"] || in.target != ""
	if len(operands) > 1 && err != nil && in.target == "" {
		return fail(in.inv, "install", fmt.Sprintf("target '%s'", target), err)
	}
	if len(operands) > 1 && !into {
		fmt.Fprintf(in.inv.Stderr, "install: target '%s' is not a directory\n", target)
		return 1
	}
	code := 0
	for _, from := range operands {
		to := target
		if into {
			to = filepath.Join(target, filepath.Base(from))
		}
		if in.set["D"] {
			if err := os.MkdirAll(filepath.Dir(in.inv.Path(to)), usualMode); err != nil {
				code = fail(in.inv, "install", fmt.Sprintf("cannot create directory '%s'", filepath.Dir(to)), err)
				continue
			}
		}
		code = max(code, in.file(from, to))
	}
	return code
}

// file replaces the target: a program that is running cannot be written to.
func (in *installation) file(from, to string) int {
	src, err := os.Open(in.inv.Path(from))
	if err != nil {
		return fail(in.inv, "install", fmt.Sprintf("cannot stat '%s'", from), err)
	}
	defer src.Close()
	info, err := src.Stat()
	if err != nil {
		return fail(in.inv, "install", fmt.Sprintf("cannot stat '%s'", from), err)
	}
	if info.IsDir() {
		fmt.Fprintf(in.inv.Stderr, "install: omitting directory '%s'\n", from)
		return 1
	}
	at := in.inv.Path(to)
	if old, err := os.Stat(at); err == nil && os.SameFile(info, old) {
		fmt.Fprintf(in.inv.Stderr, "install: '%s' and '%s' are the same file\n", from, to)
		return 1
	}
	if err := in.replace(src, at); err != nil {
		return fail(in.inv, "install", fmt.Sprintf("cannot create regular file '%s'", to), err)
	}
	if in.set["p"] {
		if err := os.Chtimes(at, info.ModTime(), info.ModTime()); err != nil {
			return fail(in.inv, "install", fmt.Sprintf("cannot set the times of '%s'", to), err)
		}
	}
	if in.set["v"] {
		fmt.Fprintf(in.inv.Stdout, "'%s' -> '%s'\n", from, to)
	}
	return 0
}

func (in *installation) replace(src io.Reader, at string) error {
	if err := os.Remove(at); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	dst, err := os.OpenFile(at, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	return errors.Join(err, dst.Chmod(in.mode), dst.Close())
}
