package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// Extract unpacks an archive into root; what is there already is replaced. The
// format is found out by its first bytes: tar.zst, gzip, else zip. After an
// error a part of the files may be there.
func Extract(ctx context.Context, src *os.File, root *os.Root, limits Limits, log Log) error {
	info, err := src.Stat()
	if err != nil {
		return err
	}
	if info.Size() > limits.Archive {
		return fmt.Errorf("the archive of %s is larger than %s", Size(info.Size()), Size(limits.Archive))
	}
	magic := make([]byte, len(magicZstd))
	n, err := src.ReadAt(magic, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	magic = magic[:n]
	x := &extraction{ctx: ctx, root: root, limits: limits, log: log, packed: info.Size()}
	in := io.NewSectionReader(src, 0, info.Size())
	switch {
	case bytes.HasPrefix(magic, magicZstd):
		err = x.tarZstd(in)
	case bytes.HasPrefix(magic, magicGzip):
		err = x.gzip(in)
	default:
		err = x.zip(in)
	}
	// After an error too: the job may go on with what is there.
	if linkErr := x.checkLinks(); err == nil {
		err = linkErr
	}
	return err
}

// The first bytes of the formats.
var (
	magicZstd = []byte{0x28, 0xb5, 0x2f, 0xfd}
	magicGzip = []byte{0x1f, 0x8b}
)

// extraction is one run of Extract.
type extraction struct {
	ctx     context.Context
	root    *os.Root
	limits  Limits
	log     Log
	packed  int64 // bytes of the archive
	entries int
	bytes   int64
	links   []string
	git     bool
}

// Permissions that every extracted entry has for the job itself, so that it can
// be replaced and removed.
const (
	ownFile   = 0o600
	ownFolder = 0o700
	newFolder = 0o777 // the process's umask applies
)

// name checks the name of an entry and counts it.
func (x *extraction) name(raw string) (string, error) {
	if x.ctx.Err() != nil {
		return "", context.Cause(x.ctx)
	}
	if x.entries++; x.entries > x.limits.Entries {
		return "", fmt.Errorf("the archive has more than %d entries", x.limits.Entries)
	}
	clean := path.Clean(raw)
	switch {
	case raw == "" || strings.Contains(raw, "\x00") || path.IsAbs(raw) || !filepath.IsLocal(clean):
		return "", fmt.Errorf("the entry %.200q leads outside of the project directory", raw)
	case len(clean) > maxName || strings.Count(clean, "/") > maxDepth:
		return "", fmt.Errorf("the entry %.80q... is too deep or too long", raw)
	}
	for element := range strings.SplitSeq(clean, "/") {
		if len(element) > maxElement {
			return "", fmt.Errorf("the entry %.80q... has a name of more than %d bytes", raw, maxElement)
		}
	}
	if !x.git && (clean == ".git" || strings.HasPrefix(clean, ".git/")) {
		x.git = true
		x.log.Warn("Part of .git directory is on the list of files to extract")
		x.log.Warn("This may introduce unexpected problems")
	}
	return clean, nil
}

// entry writes one entry of any kind.
func (x *extraction) entry(raw string, mode fs.FileMode, modified time.Time, content io.Reader, target func() (string, error)) error {
	name, err := x.name(raw)
	if err != nil {
		return err
	}
	switch mode.Type() {
	case 0:
		err = x.file(name, mode, modified, content)
	case fs.ModeDir:
		err = x.folder(name, mode)
	case fs.ModeSymlink:
		var to string
		if to, err = target(); err == nil {
			err = x.link(name, to)
		}
	default:
		err = errors.New("is a device, a pipe or a hard link, which are not accepted")
	}
	if err != nil {
		return fmt.Errorf("%.200q: %w", name, cause(err))
	}
	return nil
}

// cause drops the name that the error of a file repeats.
func cause(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

// clear makes room for a new entry. It never follows a link, and a hard link to
// something else loses only its name here.
func (x *extraction) clear(name string) error {
	if dir := path.Dir(name); dir != "." {
		if err := x.root.MkdirAll(dir, newFolder); err != nil {
			return err
		}
	}
	info, err := x.root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.IsDir():
		return errors.New("is a directory in the project")
	}
	return x.root.Remove(name)
}

func (x *extraction) file(name string, mode fs.FileMode, modified time.Time, content io.Reader) error {
	if name == "." {
		return errors.New("is no name of a file")
	}
	if err := x.clear(name); err != nil {
		return err
	}
	f, err := x.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, ownFile)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, &budgeted{x: x, r: withContext{x.ctx, content}})
	if err == nil {
		err = f.Chmod(mode.Perm() | ownFile) // no setuid, setgid or sticky bit
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil && modified.Unix() > 0 {
		err = x.root.Chtimes(name, time.Time{}, modified)
	}
	return err
}

func (x *extraction) folder(name string, mode fs.FileMode) error {
	if name == "." {
		return nil
	}
	if err := x.root.MkdirAll(name, newFolder); err != nil {
		return err
	}
	if info, err := x.root.Lstat(name); err != nil || !info.IsDir() {
		return err // a link to a directory inside the project
	}
	return x.root.Chmod(name, mode.Perm()|ownFolder)
}

func (x *extraction) link(name, target string) error {
	switch {
	case target == "" || len(target) > maxTarget || strings.Contains(target, "\x00"):
		return errors.New("has no usable link target")
	case name == ".":
		return errors.New("is no name of a link")
	}
	if err := x.clear(name); err != nil {
		return err
	}
	if path.IsAbs(target) || !filepath.IsLocal(path.Join(path.Dir(name), target)) {
		x.outside(name)
		return nil
	}
	if err := x.root.Symlink(target, name); err != nil {
		return err
	}
	x.links = append(x.links, name)
	return nil
}

func (x *extraction) outside(name string) {
	x.log.Warn(fmt.Sprintf("%q is a link that leads outside of the project directory: not extracted", name))
}

// checkLinks removes links that lead outside by way of other links, once all
// are there. A link to nothing stays.
func (x *extraction) checkLinks() error {
	for _, name := range x.links {
		_, err := x.root.Stat(name)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if info, statErr := x.root.Lstat(name); statErr != nil || info.Mode().Type() != fs.ModeSymlink {
			continue // replaced by a later entry
		}
		x.outside(name)
		if err := x.root.Remove(name); err != nil {
			return err
		}
	}
	return nil
}

// budgeted counts what is unpacked against the limits.
type budgeted struct {
	x *extraction
	r io.Reader
}

func (b *budgeted) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	x := b.x
	x.bytes += int64(n)
	switch {
	case x.bytes > x.limits.Content:
		return n, fmt.Errorf("the files of the archive are larger than %s", Size(x.limits.Content))
	case x.bytes > ratioFloor && x.bytes/maxRatio > x.packed:
		return n, fmt.Errorf("the archive of %s unpacks to more than %d times its size: it is not accepted", Size(x.packed), maxRatio)
	}
	return n, err
}
