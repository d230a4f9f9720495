package tarball

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/towline/towline/services/runner/internal/toolbox/date"
	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

var formats = map[string]tar.Format{"gnu": tar.FormatGNU, "oldgnu": tar.FormatGNU, "ustar": tar.FormatUSTAR, "pax": tar.FormatPAX, "posix": tar.FormatPAX}

// Limits of writing.
const (
	maxLinks   = 1 << 20  // files with several names that are remembered
	recordSize = 20 * 512 // archives end at a multiple of it, in bytes
	copyBuffer = 128 << 10
)

// file is what makes two names the same file.
type file struct{ device, inode uint64 }

// creation writes one archive.
type creation struct {
	*archive
	ctx      context.Context
	out      *tar.Writer
	self     os.FileInfo     // the archive, if it is a file
	links    map[file]string // names before they are changed
	users    map[string]string
	time     *time.Time // --mtime
	excludes int        // patterns that hold for the member at work
	buffer   []byte
}

// create is -c.
func (a *archive) create(ctx context.Context) error {
	if len(a.idle) > 0 {
		a.trouble = true
		fmt.Fprintln(a.inv.Stderr, "tar: The following options were used after any non-optional arguments in archive create or update mode.  "+
			"These options are positional and affect only arguments that follow them.  Please, rearrange them properly.")
		for _, option := range a.idle {
			fmt.Fprintf(a.inv.Stderr, "tar: %s has no effect\n", option)
		}
	}
	c := &creation{archive: a, ctx: ctx, links: map[file]string{}, users: map[string]string{}, buffer: make([]byte, copyBuffer)}
	if err := c.settle(); err != nil {
		return err
	}
	var to io.Writer = a.inv.Stdout
	if a.file == "" || a.file == "-" {
		a.names = a.inv.Stderr
	} else {
		f, err := os.Create(a.inv.Path(a.file))
		if err != nil {
			return unrecoverable{fmt.Errorf("%s: Cannot open: %s", a.file, tool.Reason(err))}
		}
		defer f.Close()
		to = f
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			c.self = info
		}
	}
	if err := c.write(to); err != nil {
		return unrecoverable{fmt.Errorf("%s: Cannot write: %w", a.file, err)}
	}
	return nil
}

// settle finds the time and the numbers of owners that entries get.
func (c *creation) settle() error {
	if c.mtime != "" {
		t, err := c.sample()
		if err != nil {
			return err
		}
		c.time = &t
	}
	if c.owner.id < 0 && c.owner.name != "" {
		if u, err := user.Lookup(c.owner.name); err == nil {
			c.owner.id, _ = strconv.Atoi(u.Uid)
		}
	}
	if c.group.id < 0 && c.group.name != "" {
		if g, err := user.LookupGroup(c.group.name); err == nil {
			c.group.id, _ = strconv.Atoi(g.Gid)
		}
	}
	return nil
}

// sample reads --mtime: a date, or a file if it begins with a slash or a dot.
func (c *creation) sample() (time.Time, error) {
	if strings.HasPrefix(c.mtime, "/") || strings.HasPrefix(c.mtime, ".") {
		info, err := os.Stat(c.inv.Path(c.mtime))
		if err != nil {
			c.say(c.mtime, "Cannot stat: "+tool.Reason(err))
			return time.Time{}, errors.New("Date sample file not found") //nolint:staticcheck // ST1005: GNU's words
		}
		return info.ModTime(), nil
	}
	t, err := date.Parse(c.mtime, time.Now().In(c.zone()))
	if err != nil {
		return t, fmt.Errorf("--mtime: %w", err)
	}
	if shown := t.Format(time.DateTime); c.verbose > 0 && shown != c.mtime {
		fmt.Fprintf(c.inv.Stderr, "tar: Option --mtime: Treating date '%s' as %s\n", c.mtime, shown)
	}
	return t, nil
}

// zone is that of the script.
func (a *archive) zone() *time.Location {
	name, _ := a.inv.Getenv("TZ")
	if zone, err := time.LoadLocation(name); err == nil {
		return zone
	}
	return time.UTC
}

// write writes the archive to its place.
func (c *creation) write(to io.Writer) error {
	packed, err := c.packer(c.ctx, to)
	if err != nil {
		return err
	}
	counted := &counter{to: packed}
	c.out = tar.NewWriter(counted)
	for _, m := range c.members {
		c.excludes = m.excludes
		if err := c.add(m.name, m.dir, nil); err != nil {
			return errors.Join(err, packed.Close())
		}
	}
	err = c.out.Close()
	if rest := counted.n % recordSize; err == nil && rest > 0 {
		_, err = counted.Write(make([]byte, recordSize-rest))
	}
	return errors.Join(err, packed.Close())
}

// counter counts what is written.
type counter struct {
	to io.Writer
	n  int64
}

// Write implements io.Writer.
func (c *counter) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.n += int64(n)
	return n, err
}

func (c *creation) excluded(name string) bool {
	for _, p := range c.request.excludes[:c.excludes] {
		if p.Match(name) {
			return true
		}
	}
	return false
}

// add writes a file, and what lies in it. above are the directories that lead to
// it. Its error ends the work.
func (c *creation) add(name, dir string, above []os.FileInfo) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	if c.excluded(name) {
		return nil
	}
	at := join(dir, name)
	look := os.Lstat
	if c.set["h"] {
		look = os.Stat
	}
	info, err := look(at)
	if err != nil {
		c.fail(name, "Cannot stat", err)
		return nil
	}
	if c.self != nil && os.SameFile(c.self, info) {
		c.say(name, "file is the archive; not dumped")
		return nil
	}
	if info.IsDir() {
		return c.folder(name, dir, info, above)
	}
	h, ok := c.header(name, info)
	switch {
	case !ok:
		return nil
	case c.linked(name, h, info):
	case h.Typeflag == tar.TypeReg:
		return c.regular(name, at, h)
	case h.Typeflag == tar.TypeSymlink:
		if h.Linkname, err = os.Readlink(at); err != nil {
			c.fail(name, "Cannot readlink", err)
			return nil
		}
		h.Linkname = c.renamed(h.Linkname, symlinkName)
	}
	_, err = c.entry(name, h)
	return err
}

// entry writes a header, and says with -v that it did.
func (c *creation) entry(name string, h *tar.Header) (written bool, err error) {
	if err := c.out.WriteHeader(h); err != nil {
		if errors.Is(err, tar.ErrHeader) || strings.HasPrefix(err.Error(), "archive/tar: cannot encode header") {
			c.fail(name, "cannot be written in this format; not dumped", nil)
			return false, nil
		}
		return false, err
	}
	if h.Typeflag == tar.TypeDir && !strings.HasSuffix(name, "/") {
		name += "/"
	}
	if c.set["show"] {
		name = h.Name
	}
	c.show(name, h)
	return true, nil
}

func (c *creation) folder(name, dir string, info os.FileInfo, above []os.FileInfo) error {
	h, ok := c.header(name, info)
	if !ok {
		return nil
	}
	if slices.ContainsFunc(above, func(other os.FileInfo) bool { return os.SameFile(info, other) }) {
		c.fail(name, "Cannot open", syscall.ELOOP)
		return nil
	}
	entries, err := os.ReadDir(join(dir, name))
	if err != nil {
		c.fail(name, "Cannot open", err)
		return nil
	}
	if _, err := c.entry(name, h); err != nil || c.set["no-recursion"] {
		return err
	}
	above = append(above[:len(above):len(above)], info)
	for _, entry := range entries {
		if err := c.add(strings.TrimSuffix(name, "/")+"/"+entry.Name(), dir, above); err != nil {
			return err
		}
	}
	return nil
}

// regular writes a file with its content. As many bytes as the header says are
// written, whatever happens to the file.
func (c *creation) regular(name, at string, h *tar.Header) error {
	flags := unix.O_NOFOLLOW
	if c.set["h"] {
		flags = 0
	}
	f, err := os.OpenFile(filepath.Clean(at), os.O_RDONLY|unix.O_NONBLOCK|flags, 0)
	if err != nil {
		c.fail(name, "Cannot open", err)
		return nil
	}
	defer f.Close()
	before, err := f.Stat()
	if err != nil || !before.Mode().IsRegular() {
		c.fail(name, "Cannot open: it was replaced meanwhile", err)
		return nil
	}
	h.Size = before.Size()
	if written, err := c.entry(name, h); !written {
		return err
	}
	left := h.Size
	for left > 0 {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		n, err := f.Read(c.buffer[:min(int64(len(c.buffer)), left)])
		if _, err := c.out.Write(c.buffer[:n]); err != nil {
			return err
		}
		left -= int64(n)
		if err == nil {
			continue
		}
		if errors.Is(err, io.EOF) {
			c.code = exitDiffers
			c.say(name, fmt.Sprintf("File shrank by %d bytes; padding with zeros", left))
		} else {
			c.fail(name, "Read error; padding with zeros", err)
		}
		return c.pad(left)
	}
	after, err := f.Stat()
	if err == nil && (!after.ModTime().Equal(before.ModTime()) || after.Size() != before.Size()) {
		c.code = exitDiffers
		c.say(name, "file changed as we read it")
	}
	return nil
}

func (c *creation) pad(left int64) error {
	clear(c.buffer)
	for left > 0 {
		n, err := c.out.Write(c.buffer[:min(int64(len(c.buffer)), left)])
		if left -= int64(n); err != nil {
			return err
		}
	}
	return nil
}
