package checksum

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

const base64Usage = `Usage: base64 [OPTION]... [FILE]
Base64 encode or decode FILE, or standard input, to standard output.

  -d, --decode          decode data
  -i, --ignore-garbage  when decoding, ignore non-alphabet characters
  -w, --wrap=COLS       wrap encoded lines after COLS character (default 76).
                          Use 0 to disable line wrapping
`

// defaultWrap is after how many characters base64 begins a new line.
const defaultWrap = 76

var errInvalidInput = errors.New("invalid input")

// Base64 is the command base64.
func Base64(ctx context.Context, inv tool.Invocation) int {
	flags := newFlags("base64")
	decode := flags.BoolP("decode", "d", false, "")
	flags.BoolVarP(decode, "", "D", false, "") // as on macOS
	garbage := flags.BoolP("ignore-garbage", "i", false, "")
	wrap := flags.IntP("wrap", "w", defaultWrap, "")
	if done, code := parse(inv, flags, base64Usage); done {
		return code
	}
	if *wrap < 0 {
		return fail(inv, "base64", fmt.Errorf("invalid wrap size: '%d'", *wrap))
	}
	if flags.NArg() > 1 {
		return usageError(inv, "base64", fmt.Errorf("extra operand '%s'", flags.Arg(1)))
	}
	in, err := open(ctx, inv, operand(flags.Args()))
	if err != nil {
		return fail(inv, "base64", fmt.Errorf("%s: %s", flags.Arg(0), tool.Reason(err)))
	}
	defer in.Close()
	if *decode {
		err = decodeBase64(inv.Stdout, in, *garbage)
	} else {
		err = encodeBase64(inv.Stdout, in, *wrap)
	}
	if err != nil {
		return fail(inv, "base64", err)
	}
	return 0
}

func operand(args []string) string {
	if len(args) == 0 {
		return "-"
	}
	return args[0]
}

func encodeBase64(w io.Writer, r io.Reader, wrap int) error {
	out := bufio.NewWriter(w)
	lines := &wrapper{w: out, width: wrap}
	enc := base64.NewEncoder(base64.StdEncoding, lines)
	if _, err := io.Copy(enc, r); err != nil {
		return err
	}
	if err := enc.Close(); err != nil {
		return err
	}
	if wrap > 0 && lines.column > 0 {
		if err := out.WriteByte('\n'); err != nil {
			return err
		}
	}
	return out.Flush()
}

// wrapper breaks lines.
type wrapper struct {
	w             *bufio.Writer
	width, column int
}

func (l *wrapper) Write(p []byte) (int, error) {
	if l.width == 0 {
		return l.w.Write(p)
	}
	for rest := p; len(rest) > 0; {
		n := min(len(rest), l.width-l.column)
		if _, err := l.w.Write(rest[:n]); err != nil {
			return 0, err
		}
		if l.column += n; l.column == l.width {
			if err := l.w.WriteByte('\n'); err != nil {
				return 0, err
			}
			l.column = 0
		}
		rest = rest[n:]
	}
	return len(p), nil
}

// decodeBase64 decodes four characters at a time, as coreutils does: what comes
// before an invalid character is written, and texts with their own padding may
// follow each other.
func decodeBase64(w io.Writer, r io.Reader, garbage bool) error {
	in, out := bufio.NewReader(r), bufio.NewWriter(w)
	var quad [4]byte
	n := 0
	for {
		c, err := in.ReadByte()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return errors.Join(err, out.Flush())
		}
		if c == '\n' || garbage && c != '=' && !alphabet(c) {
			continue
		}
		quad[n] = c
		if n++; n < len(quad) {
			continue
		}
		n = 0
		if err := decodeQuad(out, quad); err != nil {
			return errors.Join(err, out.Flush())
		}
	}
	if n > 0 {
		// An end without padding: its whole bytes count, but it is an error.
		var b [3]byte
		k, _ := base64.RawStdEncoding.Decode(b[:], quad[:n])
		_, _ = out.Write(b[:k])
		if err := out.Flush(); err != nil {
			return err
		}
		return errInvalidInput
	}
	return out.Flush()
}

func decodeQuad(out *bufio.Writer, quad [4]byte) error {
	valid := 0
	for valid < len(quad) && alphabet(quad[valid]) {
		valid++
	}
	var b [3]byte
	k, _ := base64.RawStdEncoding.Decode(b[:], quad[:valid])
	if _, err := out.Write(b[:k]); err != nil {
		return err
	}
	if valid < 2 || strings.Trim(string(quad[valid:]), "=") != "" {
		return errInvalidInput
	}
	return nil
}

func alphabet(c byte) bool {
	return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '+' || c == '/'
}

func newFlags(name string) *pflag.FlagSet {
	flags := pflag.NewFlagSet(name, pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	return flags
}

// parse reads the flags. done says that the command has ended with code.
func parse(inv tool.Invocation, flags *pflag.FlagSet, usage string) (done bool, code int) {
	version := flags.Bool("version", false, "")
	err := flags.Parse(inv.Args)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		fmt.Fprint(inv.Stdout, usage)
		return true, 0
	case err != nil:
		return true, usageError(inv, flags.Name(), err)
	case *version:
		fmt.Fprintf(inv.Stdout, "%s (as in GNU coreutils)\n", flags.Name())
		return true, 0
	}
	return false, 0
}

func usageError(inv tool.Invocation, name string, err error) int {
	fmt.Fprintf(inv.Stderr, "%s: %v\nTry '%s --help' for more information.\n", name, err, name)
	return 1
}

func fail(inv tool.Invocation, name string, err error) int {
	fmt.Fprintf(inv.Stderr, "%s: %v\n", name, err)
	return 1
}
