package job

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// libraryPipe is what os.Stderr is in a job process. Libraries write there
// directly, as kustomize does with its warnings. In a pipe of its own to the
// supervisor such a line would come before or after what was written in frames
// at the same time; here it becomes a frame, in the order of writing.
//
// What the Go runtime says when it gives up goes to descriptor 2 as ever.
type libraryPipe struct {
	read   int // does not block
	file   *os.File
	buf    []byte
	before *os.File // would be closed if nobody held it
}

// takeStderr makes os.Stderr a source of the frames, which nobody uses yet. It
// holds for as long as the process.
func takeStderr(frames *frameWriter) error {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		return fmt.Errorf("pipe: %w", err)
	}
	if err := unix.SetNonblock(ends[0], true); err != nil {
		return fmt.Errorf("pipe: %w", err)
	}
	p := &libraryPipe{read: ends[0], file: os.NewFile(uintptr(ends[0]), "libraries"), buf: make([]byte, 4<<10), before: os.Stderr}
	ready, err := p.file.SyscallConn()
	if err != nil {
		return fmt.Errorf("pipe: %w", err)
	}
	frames.libraries = p
	os.Stderr = os.NewFile(uintptr(ends[1]), os.Stderr.Name())
	go p.follow(ready, frames)
	return nil
}

// follow empties the pipe also while nobody writes a frame.
func (p *libraryPipe) follow(ready syscall.RawConn, frames *frameWriter) {
	_ = ready.Read(func(uintptr) bool {
		frames.mu.Lock()
		defer frames.mu.Unlock()
		return frames.takeLibraries() != nil // which ends the process soon
	})
}

// next is what the pipe holds, nil if nothing.
func (p *libraryPipe) next() []byte {
	for {
		n, err := unix.Read(p.read, p.buf)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil || n == 0:
			return nil
		default:
			return p.buf[:n]
		}
	}
}
