package diff

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/towline/towline/services/runner/internal/toolbox/unified"
)

// maxFile bounds a file that is compared, in bytes: both are in memory.
const maxFile = 32 << 20

// binaryHead is how much of a file is looked at for a NUL byte.
const binaryHead = 32 << 10

// stamp is how the headers of the unified format show a time.
const stamp = "2006-01-02 15:04:05.000000000 -0700"

// side is one of the two files.
type side struct {
	text []byte
	time time.Time
}

func (c *comparison) read(name string) (side, error) {
	if name == "-" {
		if c.stdin == nil {
			text, err := bounded(c.inv.Stdin)
			if err != nil {
				return side{}, err
			}
			c.stdin = &side{text, time.Now()}
		}
		return *c.stdin, nil
	}
	f, err := os.Open(c.inv.Path(name))
	if os.IsNotExist(err) && c.absent {
		return side{time: time.Unix(0, 0)}, nil
	}
	if err != nil {
		return side{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return side{}, err
	}
	text, err := bounded(f)
	return side{text, info.ModTime()}, err
}

func bounded(r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err == nil && len(text) > maxFile {
		return nil, fmt.Errorf("larger than %d MiB, which is as much as diff compares in a job; cmp and sha256sum have no limit", maxFile>>20)
	}
	return text, err
}

// files compares two files and writes how they differ.
func (c *comparison) files(a, b string) int {
	from, err := c.read(a)
	if err != nil {
		return c.fail(a, err)
	}
	to, err := c.read(b)
	if err != nil {
		return c.fail(b, err)
	}
	if bytes.Equal(from.text, to.text) {
		return c.alike(a, b)
	}
	if !c.text && (binary(from.text) || binary(to.text)) {
		if c.brief {
			fmt.Fprintf(c.inv.Stdout, "Files %s and %s differ\n", a, b)
			return different
		}
		fmt.Fprintf(c.inv.Stdout, "Binary files %s and %s differ\n", a, b)
		return different
	}
	hunks := unified.Compare(unified.Split(string(from.text)), unified.Split(string(to.text)), c.key, max(c.context, 0))
	if c.blank {
		hunks = visible(hunks)
	}
	switch {
	case len(hunks) == 0:
		return c.alike(a, b)
	case c.brief:
		fmt.Fprintf(c.inv.Stdout, "Files %s and %s differ\n", a, b)
		return different
	}
	var out strings.Builder
	if c.context != normal {
		fmt.Fprintf(&out, "--- %s\n+++ %s\n", c.heading(0, a, from), c.heading(1, b, to))
	}
	for _, h := range hunks {
		if c.context == normal {
			writeNormal(&out, h)
			continue
		}
		out.WriteString(h.String())
	}
	if _, err := io.WriteString(c.inv.Stdout, out.String()); err != nil {
		return c.fail("standard output", err)
	}
	return different
}

func (c *comparison) alike(a, b string) int {
	if c.identical {
		fmt.Fprintf(c.inv.Stdout, "Files %s and %s are identical\n", a, b)
	}
	return same
}

func binary(text []byte) bool { return bytes.IndexByte(text[:min(len(text), binaryHead)], 0) >= 0 }

// heading is the label of a side, or its name and time.
func (c *comparison) heading(n int, name string, s side) string {
	if n < len(c.labels) {
		return c.labels[n]
	}
	zone := time.UTC
	if tz, ok := c.inv.Getenv("TZ"); ok {
		if z, err := time.LoadLocation(tz); err == nil {
			zone = z
		}
	}
	return named(name) + "\t" + s.time.In(zone).Format(stamp)
}

// visible leaves out the hunks that change nothing but empty lines.
func visible(hunks []unified.Hunk) []unified.Hunk {
	var out []unified.Hunk
	for _, h := range hunks {
		for _, l := range h.Lines {
			if l.Kind != ' ' && strings.TrimSuffix(l.Text, "\n") != "" {
				out = append(out, h)
				break
			}
		}
	}
	return out
}

// writeNormal writes a hunk without context in the normal format.
func writeNormal(out *strings.Builder, h unified.Hunk) {
	verb := "c"
	switch {
	case h.FromCount == 0:
		verb = "a"
	case h.ToCount == 0:
		verb = "d"
	}
	out.WriteString(lines(h.FromLine, h.FromCount) + verb + lines(h.ToLine, h.ToCount) + "\n")
	writeLines(out, h, '-', "< ")
	if verb == "c" {
		out.WriteString("---\n")
	}
	writeLines(out, h, '+', "> ")
}

func writeLines(out *strings.Builder, h unified.Hunk, kind byte, mark string) {
	for _, l := range h.Lines {
		if l.Kind != kind {
			continue
		}
		out.WriteString(mark + l.Text)
		if !strings.HasSuffix(l.Text, "\n") {
			out.WriteString("\n\\ No newline at end of file\n")
		}
	}
}

// lines is a range as the normal format writes it.
func lines(first, count int) string {
	if count <= 1 {
		return fmt.Sprint(first)
	}
	return fmt.Sprintf("%d,%d", first, first+count-1)
}
