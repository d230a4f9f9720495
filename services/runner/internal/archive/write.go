package archive

import (
	"archive/tar"
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"
	"time"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Format is how files are packed, in GitLab's words.
type Format string

// The formats that can be written.
const (
	Zip     Format = "zip"
	Gzip    Format = "gzip" // every file a member of its own, one after the other
	Raw     Format = "raw"  // one file as it is
	TarZstd Format = "tarzstd"
)

// Extension is what the name of an archive ends with.
func (f Format) Extension() string {
	switch f {
	case Zip:
		return ".zip"
	case Gzip:
		return ".gz"
	case TarZstd:
		return ".tar.zst"
	case Raw:
	}
	return ""
}

// Write packs the files, which are sorted, into w. A file that grows meanwhile
// is cut at the size it had when it was selected.
func Write(ctx context.Context, w io.Writer, format Format, root *os.Root, files []File, limits Limits) error {
	p := &packer{ctx: ctx, root: root, files: files}
	out := &boundedWriter{w: w, left: limits.Archive, max: limits.Archive}
	switch format {
	case Zip:
		return p.zip(out)
	case Gzip:
		return p.gzip(out)
	case Raw:
		return p.raw(out)
	case TarZstd:
		return p.tarZstd(out)
	}
	return fmt.Errorf("the archive format %q is not supported on this runner", format)
}

// packer is one run of Write.
type packer struct {
	ctx   context.Context
	root  *os.Root
	files []File
}

// copy writes the content of a regular file. O_NONBLOCK keeps a pipe that took
// the file's place from holding the job up.
func (p *packer) copy(w io.Writer, f File) error {
	in, err := p.root.OpenFile(f.Name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", f.Name, cause(err))
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s: is no longer a file", f.Name)
	}
	n, err := io.Copy(w, io.LimitReader(withContext{p.ctx, in}, f.Info.Size()))
	if err == nil && n < f.Info.Size() {
		err = fmt.Errorf("%s: became smaller while it was read", f.Name)
	}
	return err
}

// level is fast: a job waits for it.
const level = 5

func (p *packer) zip(w io.Writer) error {
	zw := zip.NewWriter(w)
	// One compressor for all: of 100,000 files each would take a megabyte.
	packing, err := flate.NewWriter(w, level)
	if err != nil {
		return err
	}
	zw.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) {
		packing.Reset(w)
		return packing, nil
	})
	for _, f := range p.files {
		h, err := zip.FileInfoHeader(f.Info)
		if err != nil {
			return err
		}
		h.Name = f.Name
		if f.Info.IsDir() {
			h.Name += "/"
		} else {
			h.Method = zip.Deflate
		}
		h.SetMode(f.Info.Mode() & (fs.ModeType | fs.ModePerm))
		out, err := zw.CreateHeader(h)
		if err != nil {
			return err
		}
		switch {
		case f.Info.Mode().IsRegular():
			err = p.copy(out, f)
		case f.Info.Mode().Type() == fs.ModeSymlink:
			var target string
			if target, err = p.root.Readlink(f.Name); err == nil {
				_, err = io.WriteString(out, target)
			}
		}
		if err != nil {
			return err
		}
	}
	return zw.Close()
}

func (p *packer) tarZstd(w io.Writer) error {
	zw, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(4<<20))
	if err != nil {
		return err
	}
	defer func() { _ = zw.Close() }() // after an error; closing twice is no harm
	tw := tar.NewWriter(zw)
	for _, f := range p.files {
		target := ""
		if f.Info.Mode().Type() == fs.ModeSymlink {
			if target, err = p.root.Readlink(f.Name); err != nil {
				return err
			}
		}
		h, err := tar.FileInfoHeader(nameless{f.Info}, target)
		if err != nil {
			return err
		}
		h.Name, h.Mode, h.ModTime = f.Name, int64(f.Info.Mode().Perm()), f.Info.ModTime().Truncate(time.Second)
		if f.Info.IsDir() {
			h.Name += "/"
		}
		if err := tw.WriteHeader(h); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
		if f.Info.Mode().IsRegular() {
			if err := p.copy(tw, f); err != nil {
				return err
			}
		}
	}
	if err := tw.Close(); err != nil {
		return err
	}
	return zw.Close()
}

// nameless hides the owner, whose name nobody needs.
type nameless struct{ fs.FileInfo }

func (nameless) Sys() any { return nil }

// regular lists the selected files. Directories are left out: only their files
// can be sent in this format.
func (p *packer) regular() ([]File, error) {
	var out []File
	for _, f := range p.files {
		switch {
		case f.Info.IsDir():
		case f.Info.Mode().IsRegular():
			out = append(out, f)
		default:
			return nil, fmt.Errorf("the %q is not a regular file", f.Name)
		}
	}
	return out, nil
}

func (p *packer) gzip(w io.Writer) error {
	files, err := p.regular()
	if err != nil {
		return err
	}
	for _, f := range files {
		zw, err := gzip.NewWriterLevel(w, level)
		if err != nil {
			return err
		}
		zw.Name, zw.ModTime = latin1(path.Base(f.Name)), f.Info.ModTime()
		if err := p.copy(zw, f); err != nil {
			return err
		}
		if err := zw.Close(); err != nil {
			return err
		}
	}
	return nil
}

// latin1 keeps what the header of gzip can hold.
func latin1(name string) string {
	out := []rune(name)
	for i, r := range out {
		if r == 0 || r > 0xff {
			out[i] = '_'
		}
	}
	return string(out)
}

func (p *packer) raw(w io.Writer) error {
	files, err := p.regular()
	switch {
	case err != nil:
		return err
	case len(files) != 1:
		return errors.New("only one file can be sent as raw")
	}
	return p.copy(w, files[0])
}
