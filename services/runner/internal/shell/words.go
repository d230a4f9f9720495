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
)

const maxLine = 16 << 20 // bytes that read takes for one line

// printf is the builtin with -v, --, %q and %(...)T in addition.
func (s *session) printf(ctx context.Context, hc interp.HandlerContext, args []string) int {
	name := ""
	if len(args) > 1 && args[0] == "-v" {
		name, args = args[1], args[2:]
	}
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		return s.fault(hc, exitSyntax, "printf: usage: printf [-v var] format [arguments]")
	}
	text, faults := formatted(args[0], args[1:])
	code := 0
	for _, fault := range faults {
		code = s.fault(hc, exitFailure, "printf: %s", fault)
	}
	if name == "" {
		if _, err := io.WriteString(hc.Stdout, text); err != nil {
			return s.fault(hc, exitFailure, "printf: write error: %v", err)
		}
		return code
	}
	if err := assignIn(ctx, hc, name, text); err != nil {
		return s.fault(hc, exitSyntax, "printf: `%s': not a valid identifier", name)
	}
	return code
}

// reading is a call of the builtin read.
type reading struct {
	raw, array, exact bool
	delimiter         byte
	limit             int // bytes; -1 for none
	timeout           time.Duration
	prompt            string
	names             []string
}

func parseRead(args []string) (reading, error) {
	r := reading{delimiter: '\n', limit: -1}
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		arg := args[0][1:]
		args = args[1:]
		if arg == "-" {
			break
		}
		for arg != "" {
			flag := arg[0]
			arg = arg[1:]
			switch flag {
			case 'r':
				r.raw = true
				continue
			case 's', 'e':
				continue
			}
			value := arg
			if value == "" {
				if len(args) == 0 {
					return r, fmt.Errorf("-%c: option requires an argument", flag)
				}
				value, args = args[0], args[1:]
			}
			arg = ""
			if err := r.set(flag, value); err != nil {
				return r, err
			}
		}
	}
	r.names = append(r.names, args...)
	return r, nil
}

func (r *reading) set(flag byte, value string) error {
	switch flag {
	case 'a':
		r.array, r.names = true, []string{value}
	case 'd':
		r.delimiter = append([]byte(value), 0)[0]
	case 'n', 'N':
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 {
			return fmt.Errorf("%s: invalid number", value)
		}
		r.limit, r.exact = n, flag == 'N'
	case 't':
		seconds, err := strconv.ParseFloat(value, 64)
		if err != nil || seconds < 0 || seconds > 1e9 {
			return fmt.Errorf("%s: invalid timeout specification", value)
		}
		r.timeout = max(time.Duration(seconds*float64(time.Second)), time.Millisecond)
	case 'p':
		r.prompt = value
	case 'i':
	case 'u':
		if value != "0" {
			return fmt.Errorf("%s: only the descriptors 0, 1 and 2 exist on this runner", value)
		}
	default:
		return fmt.Errorf("-%c: invalid option", flag)
	}
	return nil
}

// read is the builtin with the options that the interpreter lacks.
func (s *session) read(ctx context.Context, hc interp.HandlerContext, args []string) int {
	r, err := parseRead(args)
	if err != nil {
		return s.fault(hc, exitSyntax, "read: %v", err)
	}
	line, end := r.line(ctx, hc.Stdin)
	if err := r.store(ctx, hc, line); err != nil {
		return s.fault(hc, exitFailure, "read: %v", err)
	}
	switch {
	case errors.Is(end, os.ErrDeadlineExceeded):
		const timedOut = 142 // 128 + SIGALRM
		return timedOut
	case end != nil:
		return exitFailure
	}
	return 0
}

// line reads byte by byte, so that what follows stays for others.
func (r *reading) line(ctx context.Context, in io.Reader) (string, error) {
	if in == nil {
		return "", io.EOF
	}
	if f, ok := in.(*os.File); ok {
		if r.timeout > 0 {
			_ = f.SetReadDeadline(time.Now().Add(r.timeout))
		}
		stop := context.AfterFunc(ctx, func() { _ = f.SetReadDeadline(time.Now()) })
		defer func() {
			stop()
			_ = f.SetReadDeadline(time.Time{})
		}()
	}
	var b strings.Builder
	var c [1]byte
	for escaped, count := false, 0; r.limit < 0 || count < r.limit; {
		n, err := in.Read(c[:])
		switch {
		case n == 0 && err != nil:
			return b.String(), err
		case n == 0:
			continue
		case b.Len() >= maxLine:
			return b.String(), fmt.Errorf("line longer than %d bytes", maxLine)
		case c[0] == r.delimiter && !r.exact && !escaped:
			return b.String(), nil
		case !r.raw && c[0] == '\\' && !escaped:
			escaped = true
			b.WriteByte(c[0])
			continue
		case escaped && c[0] == '\n':
			text := strings.TrimSuffix(b.String(), `\`)
			b.Reset()
			b.WriteString(text)
			escaped = false
			continue
		}
		escaped = false
		b.WriteByte(c[0])
		count++
	}
	return b.String(), nil
}

// store assigns what was read.
func (r *reading) store(ctx context.Context, hc interp.HandlerContext, line string) error {
	ifs := separatorsOf(hc)
	switch {
	case r.array:
		var words []string
		for _, field := range ifs.split(line, r.raw, 0) {
			words = append(words, quote(field))
		}
		return hc.Builtin(ctx, []string{"eval", r.names[0] + "=(" + strings.Join(words, " ") + ")"})
	case len(r.names) == 0:
		return assignIn(ctx, hc, "REPLY", text(letters(line, r.raw)))
	case r.exact:
		return assignIn(ctx, hc, r.names[0], line)
	}
	fields := ifs.split(line, r.raw, len(r.names))
	for i, name := range r.names {
		value := ""
		if i < len(fields) {
			value = fields[i]
		}
		if err := assignIn(ctx, hc, name, value); err != nil {
			return err
		}
	}
	return nil
}
