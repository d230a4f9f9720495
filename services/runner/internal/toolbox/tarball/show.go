package tarball

import (
	"archive/tar"
	"fmt"
	"strconv"
)

// usualWidth is how wide owner and size of a long line are at least.
const usualWidth = 19

// show tells of one entry: nothing, its name with -v, a long line with -vv.
func (a *archive) show(name string, h *tar.Header) {
	switch {
	case a.verbose == 0:
	case a.verbose == 1:
		fmt.Fprintln(a.names, quote(name))
	default:
		fmt.Fprintln(a.names, a.long(name, h))
	}
}

func (a *archive) long(name string, h *tar.Header) string {
	owner, group := h.Uname, h.Gname
	if owner == "" || a.set["numeric-owner"] {
		owner = strconv.Itoa(h.Uid)
	}
	if group == "" || a.set["numeric-owner"] {
		group = strconv.Itoa(h.Gid)
	}
	size := strconv.FormatInt(h.Size, 10)
	if h.Typeflag == tar.TypeChar || h.Typeflag == tar.TypeBlock {
		size = fmt.Sprintf("%d,%d", h.Devmajor, h.Devminor)
	}
	who := owner + "/" + group
	a.width = max(a.width, usualWidth, len(who)+1+len(size))
	line := fmt.Sprintf("%s %s %*s %s %s", modes(h), who, a.width-len(who)-1, size, h.ModTime.In(a.zone()).Format("2006-01-02 15:04"), quote(name))
	switch h.Typeflag {
	case tar.TypeLink:
		line += " link to " + quote(h.Linkname)
	case tar.TypeSymlink:
		line += " -> " + quote(h.Linkname)
	}
	return line
}

// modes are type and permissions as ls has them.
func modes(h *tar.Header) string {
	first := map[byte]byte{tar.TypeDir: 'd', tar.TypeSymlink: 'l', tar.TypeLink: 'h', tar.TypeChar: 'c', tar.TypeBlock: 'b', tar.TypeFifo: 'p'}[h.Typeflag]
	if first == 0 {
		first = '-'
	}
	out := append([]byte{first}, "rwxrwxrwx"...)
	for i := range 9 {
		if h.Mode&(0o400>>i) == 0 {
			out[i+1] = '-'
		}
	}
	for i, special := range []struct {
		bit        int64
		with, bare byte
	}{{0o4000, 's', 'S'}, {0o2000, 's', 'S'}, {0o1000, 't', 'T'}} {
		if at := 3 * (i + 1); h.Mode&special.bit != 0 {
			if out[at] == 'x' {
				out[at] = special.with
			} else {
				out[at] = special.bare
			}
		}
	}
	return string(out)
}
