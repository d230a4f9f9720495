package rig

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	startWithin = 30 * time.Second
	stopWithin  = 90 * time.Second // longer than a drain
	pollEvery   = 20 * time.Millisecond
	maxLine     = 1 << 20
)

// Service is one running process of the installation.
type Service struct {
	Name string
	// URL is where it answers /readyz, once it has said so in its log.
	URL string

	args, env []string

	cmd    *exec.Cmd
	exited chan struct{}
	err    error

	mu    sync.Mutex
	lines []Line
	more  chan struct{}
}

// Line is one structured line of a service's log.
type Line map[string]any

// Text returns a field of the line as text.
func (l Line) Text(key string) string {
	if v, ok := l[key]; ok {
		return fmt.Sprint(v)
	}
	return ""
}

// launch starts a service; each line of its log also goes to tee.
func launch(name, binary string, args, env []string, tee func(service string, l Line)) (*Service, error) {
	s := &Service{Name: name, exited: make(chan struct{}), more: make(chan struct{})}
	s.cmd = exec.Command(binary, args...)
	s.cmd.Env = append(slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "TOWLINE_") || strings.HasPrefix(e, "KUBECONFIG=") }), env...)
	s.cmd.SysProcAttr = dieWithParent()
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	var stderr bytes.Buffer
	s.cmd.Stderr = &stderr
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		defer close(s.exited)
		s.read(out, tee)
		if err := s.cmd.Wait(); err != nil || stderr.Len() > 0 {
			s.err = fmt.Errorf("%s: %w\n%s", name, errOr(err, "wrote to standard error"), stderr.String())
		}
	}()
	return s, nil
}

func errOr(err error, text string) error {
	if err != nil {
		return err
	}
	return errors.New(text)
}

func (s *Service) read(out io.Reader, tee func(string, Line)) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		l := Line{}
		if json.Unmarshal(lines.Bytes(), &l) != nil {
			l = Line{"msg": lines.Text()}
		}
		s.mu.Lock()
		s.lines = append(s.lines, l)
		close(s.more)
		s.more = make(chan struct{})
		s.mu.Unlock()
		if tee != nil {
			tee(s.Name, l)
		}
	}
}

// Lines returns what the service has logged so far.
func (s *Service) Lines() []Line {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.lines)
}

// WaitLine waits for a log line that match accepts, past ones included.
func (s *Service) WaitLine(ctx context.Context, match func(Line) bool) (Line, error) {
	for at := 0; ; {
		s.mu.Lock()
		fresh, more := s.lines[at:], s.more
		at = len(s.lines)
		s.mu.Unlock()
		for _, l := range fresh {
			if match(l) {
				return l, nil
			}
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%s did not log what was waited for: %w", s.Name, ctx.Err())
		case <-s.exited:
			return nil, fmt.Errorf("%s ended: %w", s.Name, errOr(s.err, "without an error"))
		case <-more:
		}
	}
}

// address waits for the line in which the service names an address.
func (s *Service) address(ctx context.Context, key string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	l, err := s.WaitLine(ctx, func(l Line) bool { return l.Text(key) != "" })
	if err != nil {
		return "", err
	}
	return l.Text(key), nil
}

// WaitReady waits until /readyz says so.
func (s *Service) WaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	var last string
	for {
		ready, body := s.Ready(ctx)
		if ready {
			return nil
		}
		if body != "" {
			last = body
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %s", s.Name, last)
		case <-s.exited:
			return fmt.Errorf("%s ended: %w", s.Name, errOr(s.err, "without an error"))
		case <-time.After(pollEvery):
		}
	}
}

// asks does as a kubelet's probe: it asks whoever listens, and verifies nobody.
var asks = &http.Client{Transport: &http.Transport{
	TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
}}

// Ready asks /readyz once.
func (s *Service) Ready(ctx context.Context) (ready bool, body string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/readyz", nil)
	if err != nil {
		return false, err.Error()
	}
	resp, err := asks.Do(req)
	if err != nil {
		return false, ""
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(io.LimitReader(resp.Body, maxLine))
	return resp.StatusCode == http.StatusOK, string(b)
}

// Stop ends the service as Kubernetes would: SIGTERM, then SIGKILL.
func (s *Service) Stop() error {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.exited:
		return s.err
	case <-time.After(stopWithin):
		_ = s.cmd.Process.Kill()
		<-s.exited
		return fmt.Errorf("%s did not stop within %s", s.Name, stopWithin)
	}
}

// Kill ends the service without a word.
func (s *Service) Kill() {
	_ = s.cmd.Process.Kill()
	<-s.exited
	s.err = nil // it did what it was told
}

// Pid is the process's number.
func (s *Service) Pid() int { return s.cmd.Process.Pid }
