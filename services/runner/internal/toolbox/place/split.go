package place

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/towline/towline/services/runner/internal/toolbox/getopt"
	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// Limits of split.
const (
	usualLines  = 1000
	usualSuffix = 2
	maxSuffix   = 8
)

var splitSpec = getopt.Spec{Short: "a:b:C:dl:n:t:u", Long: map[string]string{
	"suffix-length": "a", "bytes": "b", "numeric-suffixes": "numeric::", "lines": "l", "additional-suffix": "additional:", "verbose": "verbose",
}}

// splitting is one command.
type splitting struct {
	inv          tool.Invocation
	bytes, lines int64
	prefix, tail string
	digits       int
	numeric      bool
	start, n     int
	verbose      bool
}

// Split cuts a file into pieces.
func Split(ctx context.Context, inv tool.Invocation) int {
	s := &splitting{inv: inv, prefix: "x", digits: usualSuffix, lines: usualLines}
	options, operands, err := getopt.Parse(splitSpec, inv.Args)
	for _, o := range options {
		if wrong := s.option(o); wrong != nil && err == nil {
			fmt.Fprintf(inv.Stderr, "split: %v\n", wrong)
			return 1
		}
	}
	if err == nil && len(operands) > 2 {
		err = fmt.Errorf("extra operand '%s'", operands[2])
	}
	if err != nil {
		return fault(inv, "split", err)
	}
	in := inv.Stdin
	if len(operands) > 1 {
		s.prefix = operands[1]
	}
	if len(operands) > 0 && operands[0] != "-" {
		f, err := os.Open(inv.Path(operands[0]))
		if err != nil {
			return fail(inv, "split", fmt.Sprintf("cannot open '%s' for reading", operands[0]), err)
		}
		defer f.Close()
		in = f
	}
	r := bufio.NewReader(in)
	for ctx.Err() == nil {
		if _, err := r.Peek(1); errors.Is(err, io.EOF) {
			return 0
		}
		if err := s.piece(r); err != nil {
			fmt.Fprintf(inv.Stderr, "split: %s\n", tool.Reason(err))
			return 1
		}
	}
	return 1
}

func (s *splitting) option(o getopt.Option) (err error) {
	switch o.Name {
	case "a":
		s.digits, err = strconv.Atoi(o.Value)
		if err != nil || s.digits < 1 || s.digits > maxSuffix {
			return fmt.Errorf("invalid suffix length: '%s'", o.Value)
		}
	case "b":
		if s.bytes, err = counted(o.Value); err != nil {
			return fmt.Errorf("invalid number of bytes: '%s'", o.Value)
		}
	case "l":
		if s.lines, err = counted(o.Value); err != nil {
			return fmt.Errorf("invalid number of lines: '%s'", o.Value)
		}
	case "d":
		s.numeric = true
	case "numeric":
		s.numeric = true
		if o.Value != "" {
			if s.start, err = strconv.Atoi(o.Value); err != nil || s.start < 0 {
				return fmt.Errorf("invalid start value for numerical suffix: '%s'", o.Value)
			}
		}
	case "additional":
		s.tail = o.Value
	case "verbose":
		s.verbose = true
	case "C", "n", "t":
		return fmt.Errorf("option -%s is not supported on this runner; -l and -b are", o.Name)
	}
	return nil
}

// name is that of the next piece.
func (s *splitting) name() (string, error) {
	n, base, first := s.n+s.start, 26, byte('a')
	if s.numeric {
		base, first = 10, '0'
	}
	suffix := make([]byte, s.digits)
	for i := range suffix {
		suffix[s.digits-1-i] = first + byte(n%base)
		n /= base
	}
	if n > 0 {
		return "", errors.New("output file suffixes exhausted")
	}
	s.n++
	return s.prefix + string(suffix) + s.tail, nil
}

func (s *splitting) piece(r *bufio.Reader) error {
	name, err := s.name()
	if err != nil {
		return err
	}
	f, err := os.OpenFile(s.inv.Path(name), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, newFile)
	if err != nil {
		return fmt.Errorf("%s: %s", name, tool.Reason(err))
	}
	if s.verbose {
		fmt.Fprintf(s.inv.Stdout, "creating file '%s'\n", name)
	}
	if s.bytes > 0 {
		_, err = io.Copy(f, io.LimitReader(r, s.bytes))
		return errors.Join(err, f.Close())
	}
	w := bufio.NewWriter(f)
	err = copyLines(w, r, s.lines)
	return errors.Join(err, w.Flush(), f.Close())
}

// copyLines copies up to n lines of any length.
func copyLines(w io.Writer, r *bufio.Reader, n int64) error {
	for n > 0 {
		part, err := r.ReadSlice('\n')
		if _, failed := w.Write(part); failed != nil {
			return failed
		}
		switch {
		case err == nil:
			n--
		case errors.Is(err, io.EOF):
			return nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return err
		}
	}
	return nil
}
