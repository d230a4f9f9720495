package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// Limits of what mapfile reads.
const (
	maxMapped      = 1 << 20  // elements
	maxMappedBytes = 64 << 20 // of all elements together
)

// mapping is a call of the builtin mapfile, which is also readarray.
type mapping struct {
	reading
	trim   bool
	skip   int
	most   int // 0 for all
	origin int // -1 for a new array
	name   string
}

// mapfile is the builtin: it reads lines into an array.
func (s *session) mapfile(ctx context.Context, hc interp.HandlerContext, args []string) int {
	m, err := parseMapfile(args)
	if err != nil {
		return s.fault(hc, exitFailure, "mapfile: %v", err)
	}
	elements, err := m.elements(ctx, hc.Stdin)
	if err != nil {
		return s.fault(hc, exitFailure, "mapfile: %v", err)
	}
	var text strings.Builder
	if m.origin < 0 {
		text.WriteString(m.name + "=(")
	} else {
		text.WriteString(m.name + "+=(")
	}
	for i, element := range elements {
		if m.origin >= 0 {
			fmt.Fprintf(&text, "[%d]=", m.origin+i)
		}
		text.WriteString(quote(element) + " ")
	}
	if err := hc.Builtin(ctx, []string{"eval", text.String() + ")"}); err != nil {
		return s.fault(hc, exitFailure, "mapfile: %s: %v", m.name, err)
	}
	return 0
}

func parseMapfile(args []string) (mapping, error) {
	m := mapping{reading: reading{raw: true, delimiter: '\n', limit: -1}, origin: -1, name: "MAPFILE"}
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		arg := args[0][1:]
		args = args[1:]
		if arg == "-" {
			break
		}
		for arg != "" && arg[0] == 't' {
			m.trim, arg = true, arg[1:]
		}
		if arg == "" {
			continue
		}
		flag, value := arg[0], arg[1:]
		if value == "" {
			if len(args) == 0 {
				return m, fmt.Errorf("-%c: option requires an argument", flag)
			}
			value, args = args[0], args[1:]
		}
		if err := m.option(flag, value); err != nil {
			return m, err
		}
	}
	if len(args) > 0 {
		m.name = args[0]
	}
	if !syntax.ValidName(m.name) {
		return m, fmt.Errorf("`%s': not a valid identifier", m.name)
	}
	return m, nil
}

func (m *mapping) option(flag byte, value string) error {
	number := func(to *int) error {
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 || n > maxMapped {
			return fmt.Errorf("%s: invalid number; it can be 0 to %d", value, maxMapped)
		}
		*to = n
		return nil
	}
	switch flag {
	case 'n':
		return number(&m.most)
	case 's':
		return number(&m.skip)
	case 'O':
		return number(&m.origin)
	case 'd', 'u':
		return m.set(flag, value)
	case 'C', 'c':
		return errors.New("callbacks are not supported on this runner; use a loop over the array")
	}
	return fmt.Errorf("-%c: invalid option", flag)
}

// elements reads lines; with -n no further than it must, for what follows stays
// for others.
func (m *mapping) elements(ctx context.Context, in io.Reader) ([]string, error) {
	next := func() (string, bool) {
		line, err := m.line(ctx, in)
		return line, err == nil
	}
	if m.most == 0 && in != nil {
		text, err := whole(ctx, in)
		if err != nil {
			return nil, err
		}
		next = func() (line string, ended bool) {
			line, text, ended = strings.Cut(text, string([]byte{m.delimiter}))
			return line, ended
		}
	}
	var out []string
	for size, number := 0, 0; m.most == 0 || len(out) < m.most; number++ {
		line, ended := next()
		if !ended && line == "" {
			break
		}
		if size += len(line); size > maxMappedBytes || len(out) >= maxMapped {
			return nil, fmt.Errorf("more than %d elements or %d bytes; use a loop with read", maxMapped, maxMappedBytes)
		}
		if ended && !m.trim {
			line += string([]byte{m.delimiter})
		}
		if number >= m.skip {
			out = append(out, line)
		}
		if !ended {
			break
		}
	}
	return out, nil
}

// whole reads all that there is.
func whole(ctx context.Context, in io.Reader) (string, error) {
	if f, ok := in.(*os.File); ok {
		stop := context.AfterFunc(ctx, func() { _ = f.SetReadDeadline(time.Now()) })
		defer stop()
	}
	text, err := io.ReadAll(io.LimitReader(in, maxMappedBytes+1))
	if err != nil {
		return "", fmt.Errorf("read error: %w", err)
	}
	return string(text), nil
}
