package tarball

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// unpacking lists an archive or extracts it.
type unpacking struct {
	*archive
	ctx context.Context
	to  *tar.Writer // what the program of the folder extracts; nil otherwise
}

// unpack is -t and -x.
func (a *archive) unpack(ctx context.Context) error {
	u := &unpacking{archive: a, ctx: ctx}
	in := a.inv.Stdin
	if a.file != "" && a.file != "-" {
		f, err := os.Open(a.inv.Path(a.file))
		if err != nil {
			return unrecoverable{fmt.Errorf("%s: Cannot open: %s", a.file, tool.Reason(err))}
		}
		defer f.Close()
		in = f
	}
	if info, err := os.Stat(a.dir); err != nil || !info.IsDir() {
		if err == nil {
			err = errors.New("Not a directory") //nolint:staticcheck // ST1005: GNU's words
		}
		return unrecoverable{fmt.Errorf("%s: Cannot open: %s", strings.TrimPrefix(a.dir, a.inv.Dir+"/"), tool.Reason(err))}
	}
	if dir, ok := a.elsewhere(); ok {
		return unrecoverable{fmt.Errorf("%s: several directories for one archive are not supported on this runner; call tar once for each", dir)}
	}
	unpacked, end, err := a.unpacker(ctx, in)
	if err != nil {
		return unrecoverable{err}
	}
	defer end()
	if a.mode == 'x' && !a.set["O"] {
		err = u.extract(unpacked)
	} else {
		err = u.shown(unpacked)
	}
	if in == a.inv.Stdin && err == nil {
		_, err = io.Copy(io.Discard, in) // who writes the archive must not meet a closed pipe at its end
	}
	return err
}

// shown is what names an archive's entries or prints them.
func (u *unpacking) shown(in io.Reader) error {
	if u.set["O"] {
		u.names = u.inv.Stderr
	}
	if u.mode == 't' {
		u.verbose++ // -t shows what -v does, and -tv what -vv does
	}
	return u.entries(in)
}

// elsewhere finds a member behind a second -C.
func (a *archive) elsewhere() (string, bool) {
	for _, m := range a.members {
		if a.mode == 'x' && m.dir != a.dir {
			return m.dir, true
		}
	}
	return "", false
}

// extract hands the chosen entries to the program of the folder.
func (u *unpacking) extract(in io.Reader) error {
	r, w, err := os.Pipe()
	if err != nil {
		return unrecoverable{err}
	}
	inner := u.inv
	inner.Name, inner.Dir, inner.Stdin, inner.Stdout = "tar", u.dir, r, io.Discard
	inner.Args = []string{"-x", "-f", "-"}
	for _, option := range []string{"k", "m", "o", "p"} {
		if u.set[option] {
			inner.Args = append(inner.Args, "-"+option)
		}
	}
	for _, option := range []string{"overwrite", "no-same-permissions", "numeric-owner"} {
		if u.set[option] {
			inner.Args = append(inner.Args, "--"+option)
		}
	}
	done := make(chan int, 1)
	go func() {
		done <- u.inv.Run(u.ctx, inner)
		_ = r.Close() // so that nobody waits for a reader that has gone
	}()
	u.to = tar.NewWriter(toProgram{w})
	err = u.entries(in)
	if end := u.to.Close(); err == nil {
		err = end
	}
	_ = w.Close()
	if code := <-done; code != 0 {
		u.trouble = true
		if errors.Is(err, errEnded) {
			err = nil // it has said why
		}
	}
	return err
}

var errEnded = errors.New("the program that extracts has ended")

// entries goes through an archive.
func (u *unpacking) entries(in io.Reader) error {
	counted := &countedReader{from: in}
	archive := tar.NewReader(counted)
	for first := true; u.ctx.Err() == nil; first = false {
		h, err := archive.Next()
		switch {
		case errors.Is(err, io.EOF) && counted.n > 0:
			return u.missing()
		case errors.Is(err, io.EOF), errors.Is(err, tar.ErrHeader), errors.Is(err, io.ErrUnexpectedEOF) && first:
			u.trouble = true
			fmt.Fprintln(u.inv.Stderr, "tar: This does not look like a tar archive")
			return u.missing()
		case errors.Is(err, io.ErrUnexpectedEOF):
			return unrecoverable{errors.New("Unexpected EOF in archive")} //nolint:staticcheck // ST1005: GNU's words
		case err != nil:
			return unrecoverable{err}
		}
		if h.Typeflag == tar.TypeXGlobalHeader || !u.chosen(h.Name) {
			continue
		}
		if err := u.entry(h, archive); err != nil {
			if errors.Is(err, io.ErrUnexpectedEOF) {
				err = errors.New("Unexpected EOF in archive") //nolint:staticcheck // ST1005: GNU's words
			}
			return unrecoverable{err}
		}
	}
	return unrecoverable{u.ctx.Err()}
}

type countedReader struct {
	from io.Reader
	n    int64
}

// Read implements io.Reader.
func (c *countedReader) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.n += int64(n)
	return n, err
}

// missing tells of members that no entry was.
func (u *unpacking) missing() error {
	for _, m := range u.members {
		if !m.found {
			u.fail(m.name, "Not found in archive", nil)
		}
	}
	return nil
}

// chosen says whether an entry is wanted.
func (u *unpacking) chosen(name string) bool {
	name = strings.TrimRight(name, "/")
	wanted := len(u.members) == 0
	for i := range u.members {
		m := &u.members[i]
		if m.matches(name) {
			m.found, wanted = true, true
			break
		}
	}
	if !wanted {
		return false
	}
	for _, p := range u.excludes {
		if p.Match(name) {
			return false
		}
	}
	return true
}

func (m *member) matches(name string) bool {
	if m.literal {
		return name == m.name || strings.HasPrefix(name, m.name+"/")
	}
	return m.pattern.Match(name)
}

// entry lists or extracts one entry.
func (u *unpacking) entry(h *tar.Header, content io.Reader) error {
	name, changed := h.Name, u.placed(h.Name, memberName, memberNames)
	if u.set["show"] {
		name = changed
	}
	switch {
	case u.mode == 't':
		shown := *h
		switch {
		case u.set["show"] && h.Typeflag == tar.TypeLink:
			shown.Linkname = u.placed(h.Linkname, linkName, linkNames)
		case u.set["show"]:
			shown.Linkname = u.renamed(h.Linkname, symlinkName)
		}
		u.show(name, &shown)
		return nil
	case changed == "" || changed == "/":
		return nil
	case !u.set["O"] && slices.Contains(strings.Split(h.Name, "/"), ".."):
		u.fail(h.Name, "Member name contains '..'", nil)
		return nil
	case u.set["O"]:
		if h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeGNUSparse {
			return nil
		}
		u.show(name, h)
		_, err := io.Copy(u.inv.Stdout, content)
		return err
	}
	u.show(name, h)
	return u.hand(h, changed, content)
}

// hand gives an entry to the program that extracts.
func (u *unpacking) hand(h *tar.Header, name string, content io.Reader) error {
	out := tar.Header{
		Format: tar.FormatGNU, Typeflag: h.Typeflag, Name: name, Linkname: h.Linkname, Size: h.Size, Mode: h.Mode, Uid: h.Uid, Gid: h.Gid,
		ModTime: time.Unix(h.ModTime.Unix(), 0), Devmajor: h.Devmajor, Devminor: h.Devminor,
	}
	// Longer names of users are no names; the numbers count then.
	const longest = 32
	if len(h.Uname) < longest && len(h.Gname) < longest {
		out.Uname, out.Gname = h.Uname, h.Gname
	}
	switch h.Typeflag {
	case tar.TypeLink:
		out.Linkname, out.Size = u.placed(h.Linkname, linkName, linkNames), 0
	case tar.TypeSymlink:
		out.Linkname = u.renamed(h.Linkname, symlinkName)
	case tar.TypeReg, tar.TypeDir, tar.TypeFifo, tar.TypeChar, tar.TypeBlock:
	case tar.TypeGNUSparse, tar.TypeCont:
		out.Typeflag = tar.TypeReg
	default:
		u.fail(h.Name, fmt.Sprintf("Unknown file type '%c'; not extracted", h.Typeflag), nil)
		return nil
	}
	err := u.to.WriteHeader(&out)
	if err == nil && out.Typeflag == tar.TypeReg {
		_, err = io.Copy(u.to, content)
	}
	return err
}

// toProgram fails with errEnded, whatever the reason is: the program tells it.
type toProgram struct{ to io.Writer }

// Write implements io.Writer.
func (t toProgram) Write(p []byte) (int, error) {
	n, err := t.to.Write(p)
	if err != nil {
		err = errEnded
	}
	return n, err
}

// placed is the name that an entry or the target of a link gets: "" for what
// --strip-components takes away.
func (u *unpacking) placed(name string, as kind, what string) string {
	bare, end := strings.TrimRight(name, "/"), ""
	if bare != name {
		end = "/"
	}
	out := u.safe(u.renamed(bare, as), what)
	for range u.strip {
		_, rest, ok := strings.Cut(out, "/")
		if !ok {
			return end
		}
		out = strings.TrimLeft(rest, "/")
	}
	return out + end
}
