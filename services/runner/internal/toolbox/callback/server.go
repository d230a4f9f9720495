package callback

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

const (
	// maxCalls is how many calls may be served at once. More are refused and
	// do not wait: a call may wait for another one.
	maxCalls = 256
	// requestTime is how long a caller may take to say what it wants.
	requestTime = 10 * time.Second
	// maxHead is the longest text in front of the descriptors.
	maxHead = 64
)

// Server carries out the calls of one job's programs.
type Server struct {
	run    tool.Command
	own    *os.File // receives
	theirs *os.File // inherited by programs
	calls  atomic.Int64

	mu   sync.Mutex
	runs map[string]context.Context
	keys map[<-chan struct{}]string // by the end of their context
}

// NewServer makes the socket; run carries out a command and may be called many
// times at once. The server listens until Close.
func NewServer(run tool.Command) (*Server, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket for calls of programs: %w", err)
	}
	if err := unix.SetNonblock(pair[0], true); err != nil {
		_, _ = unix.Close(pair[0]), unix.Close(pair[1])
		return nil, fmt.Errorf("socket for calls of programs: %w", err)
	}
	s := &Server{
		run: run, own: os.NewFile(uintptr(pair[0]), "calls"), theirs: os.NewFile(uintptr(pair[1]), "calls of programs"),
		runs: map[string]context.Context{}, keys: map[<-chan struct{}]string{},
	}
	go s.listen()
	return s, nil
}

// Close stops listening. Calls under way go on. The programs' end is left to
// the garbage collector: a command that was left behind may be handing it to a
// program right now.
func (s *Server) Close() error { return s.own.Close() }

// Socket is the file that every program inherits.
func (s *Server) Socket() *os.File { return s.theirs }

// Allow lets a program and those it starts make calls until ctx ends; they end
// with ctx too. It returns the value of Variable for a program that has the
// socket as descriptor fd.
func (s *Server) Allow(ctx context.Context, fd int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	run, known := s.keys[ctx.Done()]
	if !known {
		run = rand.Text()
		s.runs[run], s.keys[ctx.Done()] = ctx, run
		context.AfterFunc(ctx, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.runs, run)
			delete(s.keys, ctx.Done())
		})
	}
	return strconv.Itoa(fd) + ":" + run
}

func (s *Server) allowed(run string) context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.runs[run]
}

func (s *Server) listen() {
	raw, err := s.own.SyscallConn()
	if err != nil {
		return
	}
	for {
		var c *call
		err := raw.Read(func(fd uintptr) bool {
			var again bool
			c, again = receive(int(fd))
			return !again
		})
		switch {
		case err != nil:
			return
		case c != nil:
			go s.serve(c)
		}
	}
}

// call is one call with its descriptors.
type call struct {
	run                   string
	stdin, stdout, stderr *os.File
	request, answer       *os.File
}

// receive reads one packet. It returns nil for a packet that is no call, and
// again when there is none.
func receive(socket int) (c *call, again bool) {
	head := make([]byte, maxHead)
	rights := make([]byte, unix.CmsgSpace(descriptors*4))
	n, m, flags, _, err := unix.Recvmsg(socket, head, rights, unix.MSG_CMSG_CLOEXEC|unix.MSG_DONTWAIT)
	if err != nil {
		return nil, errors.Is(err, unix.EAGAIN)
	}
	fds := received(rights[:m])
	if len(fds) != descriptors || flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
		return nil, false
	}
	// The pipes of the call are nobody else's, so that they may wait without
	// a thread; the streams are shared and stay as they are.
	_, _ = unix.SetNonblock(fds[3], true), unix.SetNonblock(fds[4], true)
	file := func(i int, name string) *os.File { return os.NewFile(uintptr(fds[i]), name) }
	return &call{
		run: string(head[:n]), stdin: file(0, "stdin"), stdout: file(1, "stdout"), stderr: file(2, "stderr"),
		request: file(3, "request"), answer: file(4, "answer"),
	}, false
}

func received(rights []byte) []int {
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		return nil
	}
	var fds []int
	for i := range messages {
		if got, err := unix.ParseUnixRights(&messages[i]); err == nil {
			fds = append(fds, got...)
		}
	}
	return fds
}

// serve carries out one call.
func (s *Server) serve(c *call) {
	defer func() {
		for _, f := range []*os.File{c.stdin, c.stdout, c.stderr, c.request, c.answer} {
			_ = f.Close()
		}
	}()
	code := exitRefused
	switch ctx := s.allowed(c.run); {
	case s.calls.Add(1) > maxCalls:
		fmt.Fprintf(c.stderr, "bash: more than %d commands at once were started by programs; start fewer at a time\n", maxCalls)
	case ctx == nil:
		fmt.Fprintln(c.stderr, "bash: the script that started this program has ended")
	default:
		code = s.carryOut(ctx, c)
	}
	s.calls.Add(-1)
	_, _ = c.answer.Write([]byte{byte(code)})
}

func (s *Server) carryOut(ctx context.Context, c *call) int {
	_ = c.request.SetReadDeadline(time.Now().Add(requestTime))
	req, err := readRequest(c.request)
	if err != nil {
		fmt.Fprintf(c.stderr, "bash: a program's call cannot be read: %v\n", err)
		return exitRefused
	}
	_ = c.request.SetReadDeadline(time.Time{})
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		// The caller writes nothing more: this ends when it does.
		_, _ = io.Copy(io.Discard, c.request)
		cancel()
	}()
	return s.run(ctx, tool.Invocation{
		Name: req.args[0], Args: req.args[1:], Dir: req.dir, Environ: req.environ,
		Stdin: c.stdin, Stdout: c.stdout, Stderr: c.stderr,
	})
}
