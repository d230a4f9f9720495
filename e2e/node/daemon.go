//go:build linux

package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

const (
	pollEvery  = 50 * time.Millisecond
	stopWithin = 10 * time.Second
	maxTail    = 4 << 10
)

// daemon is a running program of the node.
type daemon struct {
	name   string
	log    string
	cmd    *exec.Cmd
	exited chan struct{}
	err    error
}

// launch starts a program, with further variables, whose output goes to a file in
// dir.
func launch(dir string, env []string, path string, args ...string) (*daemon, error) {
	name := filepath.Base(path)
	d := &daemon{name: name, log: filepath.Join(dir, name+".log"), exited: make(chan struct{})}
	log, err := os.Create(d.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	d.cmd = exec.Command(path, args...)
	d.cmd.Env = append(os.Environ(), env...)
	d.cmd.Stdout, d.cmd.Stderr = log, log
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := d.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		d.err = d.cmd.Wait()
		close(d.exited)
	}()
	return d, nil
}

// until asks until ready has no complaint.
func (d *daemon) until(ctx context.Context, ready func(context.Context) error) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w\n%s", d.name, err, d.tail())
		case <-d.exited:
			return fmt.Errorf("%s ended: %w\n%s", d.name, errors.Join(d.err, err), d.tail())
		case <-tick.C:
		}
	}
}

// tail is the end of the program's log.
func (d *daemon) tail() string {
	f, err := os.Open(d.log)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if end, err := f.Seek(0, io.SeekEnd); err == nil {
		_, _ = f.Seek(max(0, end-maxTail), io.SeekStart)
	}
	b, _ := io.ReadAll(f)
	return string(b)
}

// stop ends the program.
func (d *daemon) stop() {
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(stopWithin, func() { _ = d.cmd.Process.Kill() })
	defer kill.Stop()
	<-d.exited
}
