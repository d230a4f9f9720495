package archive

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// zipReader bounds how much of a zip its table of contents may take: all of it
// is held in memory.
type zipReader struct {
	r    io.ReaderAt
	left int64 // negative: no bound any more
}

func (z *zipReader) ReadAt(p []byte, off int64) (int, error) {
	if z.left >= 0 {
		if int64(len(p)) > z.left {
			return 0, fmt.Errorf("the table of contents of the zip is larger than %s", Size(maxDirectory))
		}
		z.left -= int64(len(p))
	}
	return z.r.ReadAt(p, off)
}

func (x *extraction) zip(in *io.SectionReader) error {
	bounded := &zipReader{r: in, left: maxDirectory}
	zr, err := zip.NewReader(bounded, in.Size())
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return fmt.Errorf("the archive is not a zip, gzip or tar.zst: %w", err)
	}
	bounded.left = -1
	// One for all entries, which are read one after the other.
	unpacking := flate.NewReader(strings.NewReader(""))
	zr.RegisterDecompressor(zip.Deflate, func(r io.Reader) io.ReadCloser {
		if again, ok := unpacking.(flate.Resetter); !ok || again.Reset(r, nil) != nil {
			return flate.NewReader(r)
		}
		return unpacking
	})
	zr.RegisterDecompressor(zstd.ZipMethodWinZip, zstd.ZipDecompressor(zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow)))
	for _, f := range zr.File {
		if err := x.zipEntry(f); err != nil {
			return err
		}
	}
	return nil
}

func (x *extraction) zipEntry(f *zip.File) error {
	content, err := f.Open()
	if err != nil {
		return fmt.Errorf("%.200q: %w", f.Name, err)
	}
	defer content.Close()
	return x.entry(f.Name, f.Mode(), f.Modified, content, func() (string, error) {
		target, err := io.ReadAll(io.LimitReader(content, maxTarget+1))
		return string(target), err
	})
}

func (x *extraction) tarZstd(in io.Reader) error {
	zr, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return err
	}
	defer zr.Close()
	// What lies between the files counts too: a bomb can be made of headers.
	tr := tar.NewReader(&budgeted{x: x, r: withContext{x.ctx, zr}})
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			return fmt.Errorf("the archive is not a tar.zst: %w", err)
		}
		mode, ok := tarMode(h)
		if !ok {
			continue
		}
		err = x.entry(h.Name, mode, h.ModTime, uncounted{x, tr}, func() (string, error) { return h.Linkname, nil })
		if err != nil {
			return err
		}
	}
}

// tarMode is the mode of an entry; false is a header without one.
func tarMode(h *tar.Header) (fs.FileMode, bool) {
	perm := fs.FileMode(h.Mode) & fs.ModePerm
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse:
		return perm, true
	case tar.TypeDir:
		return fs.ModeDir | perm, true
	case tar.TypeSymlink:
		return fs.ModeSymlink | perm, true
	case tar.TypeXGlobalHeader:
		return 0, false
	}
	return fs.ModeIrregular, true
}

// uncounted gives back what was counted below: file counts it again. Only what a
// sparse file expands to remains.
type uncounted struct {
	x *extraction
	r io.Reader
}

func (u uncounted) Read(p []byte) (int, error) {
	before := u.x.bytes
	n, err := u.r.Read(p)
	u.x.bytes = before
	return n, err
}

// gzip writes each member to the file that its header names.
func (x *extraction) gzip(in io.Reader) error {
	// A reader of single bytes, or the end of a member could not be found.
	buffered := bufio.NewReader(in)
	zr, err := gzip.NewReader(buffered)
	if err != nil {
		return fmt.Errorf("the archive is not gzip: %w", err)
	}
	for {
		zr.Multistream(false)
		name := path.Base(zr.Name)
		if zr.Name == "" {
			return errors.New("the gzip archive names no file")
		}
		modified := zr.ModTime
		if modified.IsZero() {
			modified = time.Unix(0, 0)
		}
		if err := x.entry(name, ownFile, modified, zr, nil); err != nil {
			return err
		}
		err := zr.Reset(buffered)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the archive is not gzip: %w", err)
		}
	}
}
