package tarball

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// maxWindow is what decompressing zstd may hold in memory, in bytes.
const maxWindow = 128 << 20

// magic is how compressed files begin.
var magic = map[string]string{"gzip": "\x1f\x8b", "bzip2": "BZh", "xz": "\xfd7zXZ\x00", "zstd": "\x28\xb5\x2f\xfd"}

type nothingToClose struct{ io.Writer }

// Close implements io.Closer.
func (nothingToClose) Close() error { return nil }

// packer compresses what is written to an archive.
func (a *archive) packer(ctx context.Context, to io.Writer) (io.WriteCloser, error) {
	if a.compressor == "" && a.set["a"] {
		a.compressor = bySuffix[path.Ext(a.file)]
	}
	switch a.compressor {
	case "":
		return nothingToClose{to}, nil
	case "gzip":
		w := gzip.NewWriter(to)
		w.OS = unixOS
		return w, nil
	case "zstd":
		return zstd.NewWriter(to, zstd.WithEncoderConcurrency(1))
	case "xz":
		return nil, errors.New("archives are not compressed with xz on this runner, only read; use -z or --zstd")
	}
	return a.through(ctx, strings.Fields(a.compressor), to)
}

// unixOS is what gzip's files call the system that they were made on.
const unixOS = 3

// filter is another command that gets what is written to it.
type filter struct {
	*os.File
	name string
	code chan int
}

// through writes to another command, whose output goes to a writer.
func (a *archive) through(ctx context.Context, words []string, to io.Writer) (io.WriteCloser, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	f := &filter{w, words[0], make(chan int, 1)}
	inner := a.inv
	inner.Name, inner.Args, inner.Stdin, inner.Stdout = words[0], words[1:], r, to
	go func() {
		f.code <- a.inv.Run(ctx, inner)
		_ = r.Close() // so that nobody waits for a reader that has gone
	}()
	return f, nil
}

// Close implements io.Closer; it waits for the command.
func (f *filter) Close() error {
	err := f.File.Close()
	if code := <-f.code; code != 0 {
		return fmt.Errorf("Child returned status %d", code) //nolint:staticcheck // ST1005: GNU's words
	}
	return err
}

// unpacker reads an archive, whatever it is compressed with. Close must be
// called.
func (a *archive) unpacker(ctx context.Context, from io.Reader) (io.Reader, func(), error) {
	in := bufio.NewReader(from)
	found := ""
	for program, begin := range magic {
		if head, _ := in.Peek(len(begin)); string(head) == begin {
			found = program
		}
	}
	asked := ""
	if words := strings.Fields(a.compressor); len(words) > 0 {
		asked = words[0]
	}
	if magic[asked] != "" && asked != found {
		fmt.Fprintf(a.inv.Stderr, "%s: stdin: not in %s format\n", asked, asked)
		return nil, nil, errors.New("Child returned status 1") //nolint:staticcheck // ST1005: GNU's words
	}
	switch {
	case asked != "" && magic[asked] == "":
		return a.decompress(ctx, append(strings.Fields(a.compressor), "-d"), in)
	case found == "gzip":
		r, err := gzip.NewReader(in)
		return r, func() {}, err
	case found == "bzip2":
		return bzip2.NewReader(in), func() {}, nil
	case found == "zstd":
		r, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, nil, err
		}
		return r, r.Close, nil
	case found == "xz":
		return a.decompress(ctx, []string{"xz", "-dc"}, in)
	}
	return in, func() {}, nil
}

// decompress reads what another command makes of an input.
func (a *archive) decompress(ctx context.Context, words []string, in io.Reader) (io.Reader, func(), error) {
	r, w := io.Pipe()
	ctx, cancel := context.WithCancel(ctx)
	inner := a.inv
	var said bytes.Buffer
	inner.Name, inner.Args, inner.Stdin, inner.Stdout, inner.Stderr = words[0], words[1:], in, w, &said
	done := make(chan struct{})
	go func() {
		defer close(done)
		code := a.inv.Run(ctx, inner)
		if code == 0 {
			_ = w.Close()
			return
		}
		_ = w.CloseWithError(fmt.Errorf("%s: %sChild returned status %d", words[0], said.String(), code))
	}()
	return r, func() {
		_ = r.Close()
		cancel()
		<-done
	}, nil
}
