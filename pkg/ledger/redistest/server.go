package redistest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	binary       = "redis-server"
	startTimeout = 15 * time.Second
	portAttempts = 5
	pingTimeout  = 200 * time.Millisecond
	pollEvery    = 2 * time.Millisecond
	tryEvery     = 50 * time.Millisecond
	// answerWithin is longer than the client's usual 3 s: a machine that is busy
	// with other tests may stand still for that long.
	answerWithin = 15 * time.Second
	maxOutput    = 4 << 10
)

// ErrNotInstalled means that there is no redis-server to run.
var ErrNotInstalled = errors.New("redis-server is not installed; install it with: apt-get install redis-server")

// Options says how a server shall be. The zero value is good.
type Options struct {
	// Port on 127.0.0.1; 0 takes a free one.
	Port int
	// Password clients must give; "" makes up a random one.
	Password string
	// Config is further lines of redis.conf, for example "maxmemory 64mb".
	Config []string
}

// Server is a running redis-server. Its methods are safe for concurrent use.
type Server struct {
	// URL is what --redis-url takes. It stays the same over Restart.
	URL string

	opts   Options
	client *redis.Client
	shared bool

	mu   sync.Mutex
	proc *process // nil while stopped
}

// silent drops what the Redis client would print of each failed dial.
var silent = sync.OnceFunc(func() { redis.SetLogger(silence{}) })

type silence struct{}

// Printf implements the client's logger.
func (silence) Printf(context.Context, string, ...any) {}

// Start runs a server until Close, or until this process ends. ctx bounds the
// start only.
func Start(ctx context.Context, o Options) (*Server, error) {
	silent()
	if _, err := exec.LookPath(binary); err != nil {
		return nil, ErrNotInstalled
	}
	if o.Password == "" {
		o.Password = rand.Text()
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	fixed := o.Port != 0
	for n := 1; ; n++ {
		if !fixed {
			port, err := freePort(ctx)
			if err != nil {
				return nil, err
			}
			o.Port = port
		}
		s := &Server{opts: o, URL: fmt.Sprintf("redis://:%s@127.0.0.1:%d/0", o.Password, o.Port)}
		s.client = redis.NewClient(&redis.Options{Addr: s.addr(), Password: o.Password, ContextTimeoutEnabled: true, ReadTimeout: answerWithin, WriteTimeout: answerWithin})
		err := s.up(ctx)
		if err == nil {
			return s, nil
		}
		_ = s.client.Close()
		if fixed || !taken(err) || n == portAttempts {
			return nil, err
		}
	}
}

// Client is a client of the server, closed with it.
func (s *Server) Client() *redis.Client { return s.client }

// Stop kills the server, and all its data is gone.
func (s *Server) Stop() error {
	s.own("Stop")
	s.down()
	return nil
}

// Restart kills the server if it runs and starts it again, empty, at the same
// address. Another program may hold the port for a moment: it is waited for.
func (s *Server) Restart(ctx context.Context) error {
	s.own("Restart")
	s.down()
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(tryEvery)
	defer tick.Stop()
	for {
		err := s.up(ctx)
		if !taken(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

// taken says that redis-server did not find its port free.
func taken(err error) bool {
	return err != nil && strings.Contains(err.Error(), "Address already in use")
}

// Pause lets the server hang: it takes connections and answers nothing.
func (s *Server) Pause() error {
	s.own("Pause")
	return s.signal(syscall.SIGSTOP)
}

// Resume ends Pause.
func (s *Server) Resume() error {
	s.own("Resume")
	return s.signal(syscall.SIGCONT)
}

// Flush deletes all data, as an empty replacement of the server would.
func (s *Server) Flush(ctx context.Context) error {
	s.own("Flush")
	return s.client.FlushAll(ctx).Err()
}

// Close stops the server for good and closes the client.
func (s *Server) Close() error {
	s.own("Close")
	return s.close()
}

func (s *Server) close() error {
	s.down()
	return s.client.Close()
}

// own keeps a test from breaking the server under the tests beside it.
func (s *Server) own(what string) {
	if s.shared {
		panic("redistest: " + what + " of the shared server; use Private")
	}
}

func (s *Server) addr() string { return "127.0.0.1:" + strconv.Itoa(s.opts.Port) }

func (s *Server) up(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := launch(s.opts)
	if err != nil {
		return err
	}
	if err := s.ready(ctx, p); err != nil {
		p.kill()
		return err
	}
	s.proc = p
	_ = os.RemoveAll(p.dir) // nothing is written to it, and now nothing can be left behind
	return nil
}

// ready waits until the server answers with its password.
func (s *Server) ready(ctx context.Context, p *process) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.addr())
		if err == nil {
			_ = conn.Close()
			if err = s.ping(ctx); err == nil {
				return nil
			}
		}
		select {
		case <-p.done:
			return fmt.Errorf("redis-server ended: %s", p.output.String())
		case <-ctx.Done():
			return fmt.Errorf("redis-server does not answer (%w): %s", err, p.output.String())
		case <-tick.C:
		}
	}
}

// ping gives up early: on a port that was taken, a stranger may never answer.
func (s *Server) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	return s.client.Ping(ctx).Err()
}

func (s *Server) down() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc != nil {
		s.proc.kill()
		s.proc = nil
	}
}

func (s *Server) signal(sig os.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		return errors.New("redis-server is stopped")
	}
	return s.proc.cmd.Process.Signal(sig)
}

func freePort(ctx context.Context) (int, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("free port for redis-server: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// process is one run of redis-server.
type process struct {
	cmd    *exec.Cmd
	dir    string
	output tail
	done   chan struct{}
}

// launch starts redis-server. The configuration goes through its standard
// input, so that the password shows in no process list.
func launch(o Options) (*process, error) {
	dir, err := os.MkdirTemp("", "redistest-")
	if err != nil {
		return nil, err
	}
	conf := append([]string{
		"bind 127.0.0.1", "port " + strconv.Itoa(o.Port), "requirepass " + o.Password,
		`save ""`, "appendonly no", "daemonize no", `logfile ""`, "databases 1",
		"dir " + dir,
	}, o.Config...)
	p := &process{dir: dir, done: make(chan struct{})}
	p.cmd = exec.Command(binary, "-")
	p.cmd.Dir, p.cmd.SysProcAttr = dir, dieWithParent()
	p.cmd.Stdin = strings.NewReader(strings.Join(conf, "\n") + "\n")
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	started := make(chan error)
	go func() {
		defer close(p.done)
		runtime.LockOSThread() // Pdeathsig counts the thread as the parent
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait()
		}
		_ = os.RemoveAll(dir)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start redis-server: %w", err)
	}
	return p, nil
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// tail keeps the last of what a process has written.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

// Write implements io.Writer.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b...)
	if over := len(t.buf) - maxOutput; over > 0 {
		t.buf = t.buf[over:]
	}
	return len(b), nil
}

// String is what was written last.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.buf))
}
