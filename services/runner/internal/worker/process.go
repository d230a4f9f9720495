package worker

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/towline/towline/services/runner/internal/job"
)

const (
	// tellWithin is how long a job process may leave a message unread.
	tellWithin = 10 * time.Second
	// lastWords is how long what a dead process wrote is read. Its pipes end by
	// themselves unless a process that it started holds them open.
	lastWords = 2 * time.Second
)

// process is one job process, warm or at work.
type process struct {
	cmd    *exec.Cmd
	stdin  *os.File
	frames *os.File // read end of its descriptor 3
	output *os.File // read end of its standard output and error

	mu     sync.Mutex // guards gone and the process's number
	gone   bool       // the number may be another's by now
	exited chan struct{}
}

// closeOnExec keeps descriptors that this process was itself started with from
// its job processes. All others are closed by the language.
func closeOnExec() {
	const standard = 2
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return // without /proc they cannot be known
	}
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > standard {
			unix.CloseOnExec(fd)
		}
	}
}

// start launches a process that waits for a job. It inherits nothing: no
// environment, no descriptor but its pipes, and it dies with this one.
func start(command []string) (*process, error) {
	var p pipes
	p.open(3)
	if p.err != nil {
		p.close()
		return nil, fmt.Errorf("start a job process: %w", p.err)
	}
	stdin, frames, output := p.pairs[0], p.pairs[1], p.pairs[2]
	cmd := exec.Command(command[0], command[1:]...) //nolint:gosec,noctx // our own binary, whose life is managed here
	cmd.Env = job.StartEnvironment()
	cmd.Dir = "/"
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin.r, output.w, output.w
	cmd.ExtraFiles = []*os.File{frames.w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		p.close()
		return nil, fmt.Errorf("start a job process: %w", err)
	}
	_, _, _ = stdin.r.Close(), frames.w.Close(), output.w.Close()
	started := &process{cmd: cmd, stdin: stdin.w, frames: frames.r, output: output.r, exited: make(chan struct{})}
	go started.wait()
	return started, nil
}

// wait buries the process and everything of its group.
func (p *process) wait() {
	pid := p.cmd.Process.Pid
	// While the dead process is not yet buried its number is nobody else's, so
	// that the group can be killed without hitting a stranger.
	for errors.Is(unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
	}
	p.mu.Lock()
	_ = syscall.Kill(-pid, syscall.SIGKILL)
	_ = p.cmd.Wait()
	p.gone = true
	p.mu.Unlock()
	// In a container the orphans of the group are this process's children now.
	go bury(pid)
	end := time.Now().Add(lastWords)
	_, _ = p.frames.SetReadDeadline(end), p.output.SetReadDeadline(end)
	close(p.exited)
}

func bury(group int) {
	for {
		if _, err := syscall.Wait4(-group, nil, 0, nil); err != nil && !errors.Is(err, syscall.EINTR) {
			return
		}
	}
}

// kill ends the process and everything of its group.
func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.gone {
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	}
}

// tell sends the process a message; it must be the only one who does so now.
func (p *process) tell(within time.Duration, write func(io.Writer) error) error {
	_ = p.stdin.SetWriteDeadline(time.Now().Add(within))
	return write(p.stdin)
}

// endWithin waits for the process to end by itself, and then ends it.
func (p *process) endWithin(grace time.Duration) {
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case <-p.exited:
	case <-t.C:
		p.kill()
		<-p.exited
	}
}

// bySignal is added to a signal's number to make an exit code.
const bySignal = 128

// how says how a dead process ended, and its exit code as a shell has it.
func (p *process) how() (text string, code int) {
	state := p.cmd.ProcessState
	if state == nil {
		return "it could not be waited for", 1
	}
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return state.String(), bySignal + int(ws.Signal())
	}
	return state.String(), 1
}

// discard kills the process and frees what belongs to it.
func (p *process) discard() {
	p.kill()
	<-p.exited
	_, _, _ = p.stdin.Close(), p.frames.Close(), p.output.Close()
}

// pipes is a number of pipes that are opened together or not at all.
type pipes struct {
	pairs []pipe
	err   error
}

type pipe struct{ r, w *os.File }

func (p *pipes) open(n int) {
	for range n {
		r, w, err := os.Pipe()
		if err != nil {
			p.err = err
			return
		}
		p.pairs = append(p.pairs, pipe{r, w})
	}
}

func (p *pipes) close() {
	for _, pair := range p.pairs {
		_, _ = pair.r.Close(), pair.w.Close()
	}
}
