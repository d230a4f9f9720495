package syncer

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/towline/towline/pkg/service"
)

const (
	dirMode  = 0o700
	fileMode = 0o600
	// graceAfterStop is how long a process may take to end in good order: the
	// engine writes its inventory.
	graceAfterStop = 20 * time.Second
)

// process runs a claimed sync in a process of its own. The error says why there
// is no report.
func (w *Worker) process(ctx context.Context, c *claim, t terms) (*outcome, error) {
	dir, err := os.MkdirTemp(w.Dir, "sync-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	req := Request{
		Task: *c.task, AgentID: c.session.Claims().Agent.ID, Namespaces: c.session.Claims().Namespaces, Token: c.grant,
		GatePort: w.GatePort, CA: w.CA, Dir: filepath.Join(dir, "files"), Temp: filepath.Join(dir, "tmp"),
		Sandbox: w.Sandbox, Limits: w.Limits, Past: c.past, Runner: w.Runner, Patience: t.patience, Refusal: t.refusal, Tells: t.fetched != nil,
	}
	if leavesCluster(c.task.Entry) {
		req.EgressPort, req.OutsideCA = w.EgressPort, w.OutsideCA()
	}
	req.Bundle = filepath.Join(req.Dir, "bundle.tar.gz")
	for _, d := range []string{req.Dir, req.Temp} {
		if err := os.Mkdir(d, dirMode); err != nil {
			return nil, err
		}
	}
	if err := os.WriteFile(req.Bundle, c.bundle, fileMode); err != nil {
		return nil, err
	}
	if fetchesChart(&req.Task) {
		keep, err := w.lendShelf(c, req.charts())
		if err != nil {
			return nil, err
		}
		defer keep()
	}
	text, err := json.Marshal(req)
	if err != nil {
		return nil, err
	}
	out, words := &capped{left: maxReport}, &capped{left: maxWords}
	cmd := exec.CommandContext(ctx, w.Command[0], w.Command[1:]...) //nolint:gosec // our own binary
	cmd.Env, cmd.Dir = []string{}, "/"
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(text), out, words
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = graceAfterStop
	err = run(cmd, t.fetched)
	var report outcome
	if bad := readJSON(&out.buf, maxReport, &report); bad != nil {
		return nil, fmt.Errorf("the sync process ended without a report (%w); it may have needed more than --memory-limit. %s", orErr(err, bad), last(words.buf.Bytes()))
	}
	return &report, nil
}

// run runs a sync process and has it tell what it has fetched.
func run(cmd *exec.Cmd, tell func([]fetched)) error {
	if tell == nil {
		return cmd.Run()
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	cmd.ExtraFiles = []*os.File{w} // it becomes tellFile
	err = cmd.Start()
	if bad := w.Close(); err != nil || bad != nil {
		return orErr(err, bad)
	}
	var telling sync.WaitGroup
	telling.Go(func() {
		var list []fetched
		if readJSON(r, maxReport, &list) == nil {
			tell(list)
		}
	})
	err = cmd.Wait()
	_ = r.SetReadDeadline(time.Now()) // whatever else may hold the other end
	telling.Wait()
	return err
}

// lendShelf gives a sync what was kept of its repository; keep takes it back once
// the process has ended.
func (w *Worker) lendShelf(c *claim, place string) (keep func(), err error) {
	name, err := shelfOf(c)
	if err != nil {
		return nil, err
	}
	if err := w.shelves.lend(name, place); err != nil {
		return nil, err
	}
	return func() {
		if err := w.shelves.takeBack(name, place); err != nil {
			w.Log.Warn("chart not kept; it is fetched again", service.KeyEntry, c.name, service.Err(err))
		}
	}, nil
}

func orErr(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// capped keeps what fits and drops the rest.
type capped struct {
	buf  bytes.Buffer
	left int
}

// Write implements io.Writer.
func (c *capped) Write(b []byte) (int, error) {
	n := min(len(b), c.left)
	c.left -= n
	_, _ = c.buf.Write(b[:n])
	return len(b), nil
}

var _ io.Writer = (*capped)(nil)

// last is the end of what a process said before it died.
func last(words []byte) string {
	const most = 400
	words = bytes.TrimSpace(words)
	return string(bytes.ToValidUTF8(words[max(0, len(words)-most):], nil))
}
