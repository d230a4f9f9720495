package toolbox

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// maxFound is the longest path that find -printf shows, in bytes.
const maxFound = 64 << 10

// otherActions of find write themselves, or change what -printf would tell of.
var otherActions = strings.Fields("-print -print0 -printf -fprint -fprint0 -fprintf -ls -fls -exec -execdir -ok -okdir -delete -quit")

// printing is find with one -printf as its only action.
type printing struct {
	args   []string // with -print0 in its place
	pieces []piece
	starts []string
	follow bool
	inv    tool.Invocation
}

// piece is text of a format, or what a directive tells of a file.
type piece struct {
	text string
	tell func(f foundFile) string
}

// foundFile is one line of find.
type foundFile struct {
	path, start, below string
	info               os.FileInfo
	inv                tool.Invocation
}

// printfWanted says whether find has a -printf that can be carried out here.
func printfWanted(args []string) bool {
	_, ok := parsePrinting(args)
	return ok
}

func parsePrinting(args []string) (*printing, bool) {
	at := slices.Index(args, "-printf")
	if at < 0 || at+1 == len(args) {
		return nil, false
	}
	p := &printing{args: slices.Concat(args[:at], []string{"-print0"}, args[at+2:])}
	for i, arg := range p.args {
		if i != at && slices.Contains(otherActions, arg) {
			return nil, false
		}
	}
	for _, arg := range args {
		if len(p.starts) == 0 && (arg == "-L" || arg == "-H" || arg == "-P") {
			p.follow = p.follow || arg == "-L"
			continue
		}
		if strings.HasPrefix(arg, "-") || arg == "(" || arg == "!" {
			break
		}
		p.starts = append(p.starts, arg)
	}
	p.follow = p.follow || slices.Contains(args, "-follow")
	if len(p.starts) == 0 {
		p.starts = []string{"."}
	}
	var ok bool
	p.pieces, ok = parseFormat(args[at+1])
	return p, ok && !overlapping(p.starts)
}

// overlapping says whether a path could have been found from two places.
func overlapping(starts []string) bool {
	for i, a := range starts {
		for j, b := range starts {
			a, b := path.Clean(a), path.Clean(b)
			if i != j && (a == b || a == "." && !path.IsAbs(b) || strings.HasPrefix(b, strings.TrimSuffix(a, "/")+"/")) {
				return true
			}
		}
	}
	return false
}

// parseFormat is not ok with directives that are not among those of tells.
func parseFormat(format string) ([]piece, bool) {
	var out []piece
	for format != "" {
		switch {
		case format[0] == '\\' && len(format) > 1 && formatEscapes[format[1]] != "":
			out, format = append(out, piece{text: formatEscapes[format[1]]}), format[2:]
		case format[0] == '\\':
			return nil, false
		case strings.HasPrefix(format, "%%"):
			out, format = append(out, piece{text: "%"}), format[2:]
		case format[0] == '%':
			name := format[1:min(2, len(format))]
			if name == "T" {
				name = format[1:min(3, len(format))]
			}
			tell := tells[name]
			if tell == nil {
				return nil, false
			}
			out, format = append(out, piece{tell: tell}), format[1+len(name):]
		default:
			out, format = append(out, piece{text: format[:1]}), format[1:]
		}
	}
	return out, true
}

var formatEscapes = map[byte]string{'n': "\n", 't': "\t", '0': "\x00", '\\': `\`, 'a': "\a", 'b': "\b", 'f': "\f", 'r': "\r", 'v': "\v"}

// tells are the directives.
var tells = map[string]func(foundFile) string{
	"p": func(f foundFile) string { return f.path },
	"f": func(f foundFile) string { return path.Base(f.path) },
	"h": func(f foundFile) string {
		if at := strings.LastIndexByte(strings.TrimRight(f.path, "/"), '/'); at >= 0 {
			return f.path[:at]
		}
		return "."
	},
	"P": func(f foundFile) string { return f.below },
	"H": func(f foundFile) string { return f.start },
	"d": func(f foundFile) string { return strconv.Itoa(len(strings.FieldsFunc(f.below, isSlash))) },
	"s": func(f foundFile) string { return strconv.FormatInt(f.info.Size(), 10) },
	"m": func(f foundFile) string { return strconv.FormatUint(uint64(f.info.Mode().Perm()), 8) },
	"y": func(f foundFile) string { return typeOf(f.info.Mode()) },
	"l": func(f foundFile) string { target, _ := os.Readlink(f.inv.Path(f.path)); return target }, // "" for others
	"T@": func(f foundFile) string {
		t := f.info.ModTime()
		return fmt.Sprintf("%d.%09d0", t.Unix(), t.Nanosecond())
	},
}

func isSlash(r rune) bool { return r == '/' }

func typeOf(mode os.FileMode) string {
	for _, kind := range []struct {
		bit    os.FileMode
		letter string
	}{{os.ModeDir, "d"}, {os.ModeSymlink, "l"}, {os.ModeNamedPipe, "p"}, {os.ModeSocket, "s"}, {os.ModeCharDevice, "c"}, {os.ModeDevice, "b"}} {
		if mode&kind.bit != 0 {
			return kind.letter
		}
	}
	return "f"
}

// findPrintf has the program of the folder find the files, and tells of each.
func findPrintf(ctx context.Context, inv tool.Invocation) int {
	p, _ := parsePrinting(inv.Args) // printfWanted has seen that it can be read
	p.inv = inv
	r, w := io.Pipe()
	inner := inv
	inner.Args, inner.Stdout = p.args, w
	code := make(chan int, 1)
	go func() {
		code <- inv.Run(ctx, inner)
		_ = w.Close() // what was written has been read by then
	}()
	out := bufio.NewWriter(inv.Stdout)
	names := bufio.NewReader(r)
	for {
		name, err := names.ReadString(0)
		if err != nil || len(name) > maxFound {
			break
		}
		if err := p.print(out, strings.TrimSuffix(name, "\x00")); err != nil {
			break
		}
	}
	_ = r.CloseWithError(errNobodyReads)
	ended := <-code
	if err := out.Flush(); err != nil {
		return 1
	}
	return ended
}

var errNobodyReads = errors.New("nobody reads the names")

// print tells of one file. A file that has gone meanwhile is left out.
func (p *printing) print(out io.Writer, name string) error {
	look := os.Lstat
	if p.follow {
		look = os.Stat
	}
	info, err := look(p.inv.Path(name))
	if err != nil {
		if info, err = os.Lstat(p.inv.Path(name)); err != nil {
			return nil //nolint:nilerr // as said
		}
	}
	f := foundFile{path: name, info: info, inv: p.inv}
	for _, start := range p.starts {
		below, ok := strings.CutPrefix(name, strings.TrimRight(start, "/")+"/")
		switch {
		case name == start:
			f.start, f.below = start, ""
		case ok && len(start) >= len(f.start):
			f.start, f.below = start, strings.TrimLeft(below, "/")
		}
	}
	var line strings.Builder
	for _, piece := range p.pieces {
		line.WriteString(piece.text)
		if piece.tell != nil {
			line.WriteString(piece.tell(f))
		}
	}
	_, err = io.WriteString(out, line.String())
	return err
}
