package program

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io"
	"os"
	"regexp"
)

// Info is what a file says of itself.
type Info struct {
	Loader  string // the program that must load it; "" for a static one
	Arch    elf.Machine
	Version string // "" when it does not say
}

// Limits of what is read of a program.
const (
	maxLoader  = 4 << 10
	maxProgram = 256 << 20
)

// Inspect reads an executable without starting it.
func Inspect(path string) (Info, error) {
	f, err := elf.Open(path)
	if err != nil {
		return Info{}, fmt.Errorf("%s: %w", path, err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	info := Info{Arch: f.Machine}
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		name, err := io.ReadAll(io.LimitReader(p.Open(), maxLoader))
		if err != nil {
			return Info{}, fmt.Errorf("%s: %w", path, err)
		}
		info.Loader = string(bytes.TrimRight(name, "\x00"))
	}
	info.Version = version(path)
	return info, nil
}

var busyboxVersion = regexp.MustCompile(`BusyBox v([0-9][0-9.]*)`)

// version finds what busybox says of itself; other programs have no common way
// of telling, short of running them.
func version(path string) string {
	content, err := read(path)
	if err != nil {
		return ""
	}
	if m := busyboxVersion.FindSubmatch(content); m != nil {
		return string(m[1])
	}
	return ""
}

func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxProgram+1))
	if err == nil && len(content) > maxProgram {
		err = fmt.Errorf("%s: larger than %d bytes", path, maxProgram)
	}
	return content, err
}

// Applets lists the names that a busybox answers to, read from the table of
// names in the file, so that it need not be one for this machine.
func Applets(path string) ([]string, error) {
	content, err := read(path)
	if err != nil {
		return nil, err
	}
	_, table, ok := bytes.Cut(content, []byte("\x00[\x00[[\x00"))
	if !ok {
		return nil, fmt.Errorf("%s: holds no table of busybox's commands", path)
	}
	names := []string{"[", "[["}
	for len(names) < maxNames {
		name, rest, ok := bytes.Cut(table, []byte{0})
		if !ok || !appletName.Match(name) || string(name) < names[len(names)-1] {
			break
		}
		names, table = append(names, string(name)), rest
	}
	return names, nil
}

var appletName = regexp.MustCompile(`^[a-z0-9][a-z0-9_.-]{0,30}$`)
