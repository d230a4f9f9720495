package tarball

import (
	"archive/tar"
	"os"
	"os/user"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// header is what an archive says about a file. It is not ok for what no archive
// holds.
func (c *creation) header(name string, info os.FileInfo) (h *tar.Header, ok bool) {
	stat, isUnix := info.Sys().(*syscall.Stat_t)
	if !isUnix {
		c.fail(name, "Unknown file type; file ignored", nil)
		return nil, false
	}
	h = &tar.Header{
		Format: formats[c.format], Name: c.renamed(c.safe(name, memberNames), memberName), Mode: int64(stat.Mode & 0o7777),
		Uid: int(stat.Uid), Gid: int(stat.Gid), ModTime: info.ModTime(),
	}
	switch mode := info.Mode(); {
	case mode.IsRegular():
		h.Typeflag, h.Size = tar.TypeReg, info.Size()
	case mode.IsDir():
		h.Typeflag, h.Name = tar.TypeDir, h.Name+"/"
	case mode&os.ModeSymlink != 0:
		h.Typeflag = tar.TypeSymlink
	case mode&os.ModeNamedPipe != 0:
		h.Typeflag = tar.TypeFifo
	case mode&os.ModeDevice != 0:
		h.Typeflag = tar.TypeBlock
		if mode&os.ModeCharDevice != 0 {
			h.Typeflag = tar.TypeChar
		}
		h.Devmajor, h.Devminor = int64(unix.Major(stat.Rdev)), int64(unix.Minor(stat.Rdev))
	default:
		c.say(name, "socket ignored")
		return nil, false
	}
	if c.time != nil && (!c.set["clamp-mtime"] || h.ModTime.After(*c.time)) {
		h.ModTime = *c.time
	}
	if h.Format != tar.FormatPAX {
		h.ModTime = time.Unix(h.ModTime.Unix(), 0)
	}
	if c.owner.id >= 0 {
		h.Uid = c.owner.id
	}
	if c.group.id >= 0 {
		h.Gid = c.group.id
	}
	if !c.set["numeric-owner"] {
		h.Uname, h.Gname = c.owner.name, c.group.name
		if h.Uname == "" {
			h.Uname = c.nameOf("u", h.Uid)
		}
		if h.Gname == "" {
			h.Gname = c.nameOf("g", h.Gid)
		}
	}
	return h, true
}

// nameOf is the name of a user or a group, or nothing.
func (c *creation) nameOf(what string, id int) string {
	number := strconv.Itoa(id)
	name, known := c.users[what+number]
	if known {
		return name
	}
	if what == "u" {
		if u, err := user.LookupId(number); err == nil {
			name = u.Username
		}
	} else if g, err := user.LookupGroupId(number); err == nil {
		name = g.Name
	}
	c.users[what+number] = name
	return name
}

// linked makes a link of a file that the archive holds under another name.
func (c *creation) linked(name string, h *tar.Header, info os.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || stat.Nlink < 2 && !c.set["h"] {
		return false
	}
	key := file{stat.Dev, stat.Ino}
	first, known := c.links[key]
	if !known {
		if len(c.links) < maxLinks {
			c.links[key] = name
		}
		return false
	}
	h.Typeflag, h.Size, h.Linkname = tar.TypeLink, 0, c.safe(c.renamed(first, linkName), linkNames)
	return true
}
