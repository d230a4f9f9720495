package checksum

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// maxLine bounds a line of a checksum file.
const maxLine = 64 << 10

// tally is what checking one file of checksums found.
type tally struct {
	good, mismatched, unreadable, malformed int
}

// check compares the checksums that a file lists.
func (d *digest) check(ctx context.Context, file string) bool {
	in, err := open(ctx, d.inv, file)
	if err != nil {
		fail(d.inv, d.command, fmt.Errorf("%s: %s", file, tool.Reason(err)))
		return false
	}
	defer in.Close()
	if file == "-" {
		file = "'standard input'"
	}
	var t tally
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSuffix(lines.Text(), "\r")
		if line == "" || line[0] == '#' {
			continue
		}
		want, name, ok := d.parseLine(line)
		if !ok {
			if t.malformed++; d.warnOnLines {
				fail(d.inv, d.command, fmt.Errorf("%s: %d: improperly formatted %s checksum line", file, n, d.tag))
			}
			continue
		}
		d.verify(ctx, &t, want, name)
	}
	if err := lines.Err(); err != nil {
		fail(d.inv, d.command, fmt.Errorf("%s: %w", file, err))
		return false
	}
	return d.report(file, t)
}

func (d *digest) verify(ctx context.Context, t *tally, want, name string) {
	sum, err := d.sum(ctx, name)
	switch {
	case d.missing && errors.Is(err, fs.ErrNotExist):
		return
	case err != nil:
		t.unreadable++
		fail(d.inv, d.command, fmt.Errorf("%s: %s", name, tool.Reason(err)))
		d.line(name, "FAILED open or read")
	case sum != want:
		t.mismatched++
		d.line(name, "FAILED")
	default:
		if t.good++; !d.quiet {
			d.line(name, "OK")
		}
	}
}

func (d *digest) line(name, result string) {
	if !d.status {
		fmt.Fprintf(d.inv.Stdout, "%s: %s\n", name, result)
	}
}

// report writes the summary of one file of checksums and says whether all is
// well.
func (d *digest) report(file string, t tally) bool {
	checked := t.good + t.mismatched + t.unreadable
	if checked == 0 && !(d.missing && t.malformed == 0) {
		fail(d.inv, d.command, fmt.Errorf("%s: no properly formatted checksum lines found", file))
		return false
	}
	if !d.status {
		d.warn(t.malformed, "line is improperly formatted", "lines are improperly formatted")
		d.warn(t.unreadable, "listed file could not be read", "listed files could not be read")
		d.warn(t.mismatched, "computed checksum did NOT match", "computed checksums did NOT match")
	}
	if d.missing && t.good+t.mismatched == 0 {
		if !d.status {
			fail(d.inv, d.command, fmt.Errorf("%s: no file was verified", file))
		}
		return false
	}
	return t.mismatched == 0 && t.unreadable == 0 && (!d.strict || t.malformed == 0)
}

func (d *digest) warn(n int, one, many string) {
	switch n {
	case 0:
	case 1:
		fail(d.inv, d.command, fmt.Errorf("WARNING: 1 %s", one))
	default:
		fail(d.inv, d.command, fmt.Errorf("WARNING: %d %s", n, many))
	}
}

// parseLine understands "sum  file", "sum *file" and "SHA256 (file) = sum".
func (d *digest) parseLine(line string) (sum, name string, ok bool) {
	line, escaped := strings.CutPrefix(strings.TrimLeft(line, " \t"), `\`)
	if rest, tagged := strings.CutPrefix(line, d.tag+" ("); tagged {
		at := strings.LastIndex(rest, ") = ")
		if at < 0 {
			return "", "", false
		}
		sum, name = rest[at+len(") = "):], rest[:at]
	} else {
		size := 2 * d.build().Size()
		if len(line) < size+2 || line[size] != ' ' && line[size] != '\t' {
			return "", "", false
		}
		sum, name = line[:size], line[size+1:]
		if name[0] == ' ' || name[0] == '*' {
			name = name[1:]
		}
	}
	raw, err := hex.DecodeString(sum)
	if err != nil || len(raw) != d.build().Size() || name == "" {
		return "", "", false
	}
	if escaped {
		name = strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\r`, "\r").Replace(name)
	}
	return strings.ToLower(sum), name, true
}
