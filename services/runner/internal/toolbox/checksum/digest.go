package checksum

import (
	"context"
	"crypto/md5"  //nolint:gosec // md5sum is asked for by name
	"crypto/sha1" //nolint:gosec // sha1sum is asked for by name
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

const digestUsage = `Usage: %[1]s [OPTION]... [FILE]...
Print or check %[2]s checksums. With no FILE, or when FILE is -, read standard input.

  -b, --binary          read in binary mode
  -c, --check           read checksums from the FILEs and check them
      --tag             create a BSD-style checksum
  -t, --text            read in text mode (default)
  -z, --zero            end each output line with NUL, not newline

The following five options are useful only when verifying checksums:
      --ignore-missing  don't fail or report status for missing files
      --quiet           don't print OK for each successfully verified file
      --status          don't output anything, status code shows success
      --strict          exit non-zero for improperly formatted checksum lines
  -w, --warn            warn about improperly formatted checksum lines
`

// algorithm is one of the digest commands.
type algorithm struct {
	command string
	tag     string // in BSD-style lines
	build   func() hash.Hash
}

// Names of the digest commands.
var algorithms = []algorithm{
	{"md5sum", "MD5", md5.New},
	{"sha1sum", "SHA1", sha1.New},
	{"sha256sum", "SHA256", sha256.New},
	{"sha512sum", "SHA512", sha512.New},
}

// Digests are the digest commands by their names.
func Digests() map[string]tool.Command {
	out := make(map[string]tool.Command, len(algorithms))
	for _, a := range algorithms {
		out[a.command] = a.run
	}
	return out
}

// digest is one invocation.
type digest struct {
	algorithm
	inv tool.Invocation

	binary, tagged, zero                        bool
	missing, quiet, status, strict, warnOnLines bool
}

func (a algorithm) run(ctx context.Context, inv tool.Invocation) int {
	d := &digest{algorithm: a, inv: inv}
	flags := newFlags(a.command)
	check := flags.BoolP("check", "c", false, "")
	flags.BoolVarP(&d.binary, "binary", "b", false, "")
	flags.BoolP("text", "t", false, "")
	flags.BoolVar(&d.tagged, "tag", false, "")
	flags.BoolVarP(&d.zero, "zero", "z", false, "")
	flags.BoolVar(&d.missing, "ignore-missing", false, "")
	flags.BoolVar(&d.quiet, "quiet", false, "")
	flags.BoolVar(&d.status, "status", false, "")
	flags.BoolVarP(&d.status, "", "s", false, "") // as busybox has it
	flags.BoolVar(&d.strict, "strict", false, "")
	flags.BoolVarP(&d.warnOnLines, "warn", "w", false, "")
	if done, code := parse(inv, flags, fmt.Sprintf(digestUsage, a.command, a.tag)); done {
		return code
	}
	files := flags.Args()
	if len(files) == 0 {
		files = []string{"-"}
	}
	code := 0
	for _, file := range files {
		ok := false
		if *check {
			ok = d.check(ctx, file)
		} else {
			ok = d.print(ctx, file)
		}
		if !ok {
			code = 1
		}
	}
	return code
}

// print writes the line of one file.
func (d *digest) print(ctx context.Context, file string) bool {
	sum, err := d.sum(ctx, file)
	if err != nil {
		fail(d.inv, d.command, fmt.Errorf("%s: %s", file, tool.Reason(err)))
		return false
	}
	name, escaped := file, ""
	if !d.zero && strings.ContainsAny(file, "\\\n\r") {
		name, escaped = strings.NewReplacer("\\", `\\`, "\n", `\n`, "\r", `\r`).Replace(file), `\`
	}
	end := "\n"
	if d.zero {
		end = "\x00"
	}
	switch {
	case d.tagged:
		fmt.Fprintf(d.inv.Stdout, "%s%s (%s) = %s%s", escaped, d.tag, name, sum, end)
	case d.binary:
		fmt.Fprintf(d.inv.Stdout, "%s%s *%s%s", escaped, sum, name, end)
	default:
		fmt.Fprintf(d.inv.Stdout, "%s%s  %s%s", escaped, sum, name, end)
	}
	return true
}

func (d *digest) sum(ctx context.Context, file string) (string, error) {
	in, err := open(ctx, d.inv, file)
	if err != nil {
		return "", err
	}
	defer in.Close()
	h := d.build()
	if _, err := io.Copy(h, in); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// source is a file or standard input that stops when the job does.
type source struct {
	io.Reader
	io.Closer
	ctx context.Context
}

func (s source) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.Reader.Read(p)
}

func open(ctx context.Context, inv tool.Invocation, file string) (io.ReadCloser, error) {
	if file == "-" {
		return source{inv.Stdin, io.NopCloser(nil), ctx}, nil
	}
	f, err := os.Open(inv.Path(file))
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = syscall.EISDIR
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return source{f, f, ctx}, nil
}
