package shell

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	"mvdan.cc/sh/v3/interp"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// sourceDir is where the interpreter finds texts that were read for it. Nothing
// is there on disk.
const sourceDir = "/dev/towline/source/"

// newFiles is what files of redirections are created with, less the umask.
const newFiles = 0o666

// clobber ends a name that may be overwritten all the same. The end of a word is
// the place that changes nothing else of it.
const clobber = "\x01>|"

var errExists = errors.New("cannot overwrite existing file")

var errNoSockets = errors.New("the shell opens no connections on this runner; use kubectl, curl or nc")

// openFile opens the files of redirections.
func (s *session) openFile(ctx context.Context, path string, flag int, _ os.FileMode) (io.ReadWriteCloser, error) {
	hc := s.handler(ctx)
	if name, ok := strings.CutPrefix(path, sourceDir); ok {
		if text, ok := s.reader.take(name); ok {
			return textFile{strings.NewReader(text)}, nil
		}
	}
	path, marked := strings.CutSuffix(path, clobber)
	f, err := s.openDevice(hc, path)
	if err == nil && f == nil {
		switch {
		case path == "":
			err = unix.ENOENT
		case flag&os.O_TRUNC != 0 && !marked && hc.Env.Get(noclobber).String() != "":
			f, err = s.openNew(hc, path, flag)
		default:
			f, err = s.openReal(hc, path, flag)
		}
	}
	if err != nil {
		// The interpreter prints the three parts with a colon after the second.
		return nil, &os.PathError{Op: s.script.place + ":", Path: path, Err: errors.New(tool.Reason(err))}
	}
	return f, nil
}

// onDisk is where a path of the script is.
func (s *session) onDisk(hc interp.HandlerContext, path string) string {
	return s.tmp().Path(tool.Invocation{Dir: hc.Dir}.Path(path))
}

func (s *session) openReal(hc interp.HandlerContext, path string, flag int) (io.ReadWriteCloser, error) {
	f, err := os.OpenFile(s.onDisk(hc, path), flag, newFiles)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// openNew opens a file that must not be there yet, or something that is no file
// and loses nothing: two jobs that make one lock cannot both succeed.
func (s *session) openNew(hc interp.HandlerContext, path string, flag int) (io.ReadWriteCloser, error) {
	f, err := s.openReal(hc, path, flag|os.O_EXCL)
	if !errors.Is(err, os.ErrExist) {
		return f, err
	}
	info, err := os.Stat(s.onDisk(hc, path))
	if err != nil || info.Mode().IsRegular() {
		return nil, errExists
	}
	return s.openReal(hc, path, flag&^(os.O_TRUNC|os.O_CREATE))
}

// openDevice opens what bash itself stands for. It returns nil for other paths.
func (s *session) openDevice(hc interp.HandlerContext, path string) (io.ReadWriteCloser, error) {
	clean := filepath.Clean(path)
	if strings.HasPrefix(clean, "/dev/tcp/") || strings.HasPrefix(clean, "/dev/udp/") {
		return nil, errNoSockets
	}
	number, isNumber := strings.CutPrefix(clean, "/dev/fd/")
	if !isNumber {
		number, isNumber = strings.CutPrefix(clean, "/proc/self/fd/")
	}
	fd := -1
	if n, err := strconv.Atoi(number); isNumber && err == nil {
		fd = n
	}
	switch {
	case clean == "/dev/stdin" || fd == 0:
		return again(hc.Stdin)
	case clean == "/dev/stdout" || fd == 1:
		return again(hc.Stdout)
	case clean == "/dev/stderr" || fd == 2:
		return again(hc.Stderr)
	case fd > 2:
		return nil, unix.ENOENT
	}
	return nil, nil //nolint:nilnil // the path is no device of ours
}

// again is a stream of the shell that can be closed without closing it.
func again(stream any) (io.ReadWriteCloser, error) {
	if f, ok := stream.(*os.File); ok && f != nil {
		raw, err := f.SyscallConn()
		if err != nil {
			return nil, err
		}
		var fd int
		var dupErr error
		if err := raw.Control(func(at uintptr) { fd, dupErr = unix.FcntlInt(at, unix.F_DUPFD_CLOEXEC, 3) }); err != nil {
			return nil, err
		}
		if dupErr != nil {
			return nil, dupErr
		}
		return os.NewFile(uintptr(fd), f.Name()), nil
	}
	if w, ok := stream.(io.Writer); ok {
		return writerFile{w}, nil
	}
	return nil, unix.ENOENT
}

// writerFile is a stream of the shell that is no file.
type writerFile struct{ io.Writer }

func (writerFile) Read([]byte) (int, error) { return 0, unix.EBADF }
func (writerFile) Close() error             { return nil }

// textFile is a text that was read before.
type textFile struct{ *strings.Reader }

func (textFile) Write([]byte) (int, error) { return 0, unix.EBADF }
func (textFile) Close() error              { return nil }

// openFor opens a file that a builtin reads.
func (s *session) openFor(hc interp.HandlerContext, path string) (io.ReadCloser, error) {
	f, err := s.openDevice(hc, path)
	if err != nil || f != nil {
		return f, err
	}
	return s.openReal(hc, path, os.O_RDONLY)
}
