package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// patience is how long a plane may take to stop; it normally needs one second.
const patience = 20 * time.Second

// announcement is the line the controlplane program prints when it is ready.
type announcement struct {
	Ready      bool   `json:"ready"`
	Kubeconfig string `json:"kubeconfig"`
	Server     string `json:"server"`
	TookMS     int64  `json:"took_ms"`
}

// process is a running controlplane program.
type process struct {
	cmd     *exec.Cmd
	stdin   io.Closer // the program stops when this closes, also when we are killed
	stdout  *firstLine
	stderr  *head
	done    chan struct{} // closed when the program has ended, after exitErr is set
	exitErr error

	once    sync.Once
	stopErr error
}

func launch(binary string, args ...string) (*process, error) {
	p := &process{
		cmd:    exec.Command(binary, append([]string{"--exit-with-parent"}, args...)...),
		stdout: &firstLine{ready: make(chan struct{})},
		stderr: &head{},
		done:   make(chan struct{}),
	}
	// Ctrl-C in a terminal goes to the whole process group; the plane must stay
	// until whoever uses it has cleaned up.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.Stdout, p.cmd.Stderr = p.stdout, p.stderr
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("control plane: %w", err)
	}
	p.stdin = stdin
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("control plane: %w", err)
	}
	go func() {
		p.exitErr = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// ready waits for the program's announcement.
func (p *process) ready(ctx context.Context) (announcement, error) {
	var a announcement
	select {
	case <-p.stdout.ready:
	case <-p.done:
		return a, p.failure()
	case <-ctx.Done():
		return a, fmt.Errorf("control plane: %w", context.Cause(ctx))
	}
	if err := json.Unmarshal(p.stdout.line(), &a); err != nil || !a.Ready || a.Kubeconfig == "" {
		return a, fmt.Errorf("control plane announced %q: %w", p.stdout.line(), errors.Join(err, errors.New("not understood")))
	}
	return a, nil
}

// failure says why the program ended although nobody stopped it.
func (p *process) failure() error {
	reason := p.exitErr
	if reason == nil {
		reason = errors.New("ended by itself")
	}
	if said := strings.TrimSpace(p.stderr.String()); said != "" {
		return fmt.Errorf("control plane: %w: %s", reason, said)
	}
	return fmt.Errorf("control plane: %w", reason)
}

// stop ends the program and waits for it. An error means that it failed before
// or had to be killed. It may be called more than once.
func (p *process) stop() error {
	p.once.Do(func() {
		select {
		case <-p.done:
			p.stopErr = p.failure()
			return
		default:
		}
		_ = p.stdin.Close()
		timer := time.NewTimer(patience)
		defer timer.Stop()
		select {
		case <-p.done:
			if p.exitErr != nil {
				p.stopErr = p.failure()
			}
		case <-timer.C:
			_ = p.cmd.Process.Kill()
			<-p.done
			p.stopErr = fmt.Errorf("control plane: did not stop within %v and was killed", patience)
		}
	})
	return p.stopErr
}

// removeLeftovers removes the temporary directory of a program that could not do
// so itself. Only the program's own kind of directory qualifies.
func removeLeftovers(kubeconfig string) {
	dir := filepath.Dir(kubeconfig)
	if strings.HasPrefix(filepath.Base(dir), "towline-controlplane-") {
		_ = os.RemoveAll(dir)
	}
}

// firstLine is a writer that keeps the first line and drops the rest.
type firstLine struct {
	ready chan struct{} // closed when the line is complete
	once  sync.Once
	buf   head
}

func (f *firstLine) Write(b []byte) (int, error) {
	_, _ = f.buf.Write(b)
	if bytes.IndexByte(b, '\n') >= 0 {
		f.once.Do(func() { close(f.ready) })
	}
	return len(b), nil
}

func (f *firstLine) line() []byte {
	line, _, _ := strings.Cut(f.buf.String(), "\n")
	return []byte(line)
}

// head is a writer that keeps the beginning of what it gets: the reason of a
// crash comes before its stack traces.
type head struct {
	mu  sync.Mutex
	buf []byte
}

func (h *head) Write(b []byte) (int, error) {
	const limit = 4 << 10
	h.mu.Lock()
	defer h.mu.Unlock()
	if room := limit - len(h.buf); room > 0 {
		h.buf = append(h.buf, b[:min(room, len(b))]...)
	}
	return len(b), nil
}

func (h *head) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return string(h.buf)
}
