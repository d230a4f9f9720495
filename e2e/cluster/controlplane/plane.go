package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	stopControllers = 5 * time.Second
	stopAPIServer   = 10 * time.Second
	stopEtcd        = 5 * time.Second
)

// plane is a control plane being started, running or being stopped.
type plane struct {
	opts   *options
	logs   *logs
	failed chan error
	undo   []func() // run in reverse order by stop
}

// runPlane starts a control plane, calls announce with the API server's URL when
// it is ready, blocks until ctx is done or a component fails, and stops it. It
// fills in the default of opts.kubeconfig.
func runPlane(ctx context.Context, opts *options, logs *logs, announce func(server string) error) error {
	p := &plane{opts: opts, logs: logs, failed: make(chan error, 1)}
	defer p.stop()
	server, err := p.start(ctx)
	if err == nil {
		err = announce(server)
	}
	if err == nil {
		select {
		case <-ctx.Done():
			return nil
		case err = <-p.failed:
		case <-logs.fatal:
			err = errors.New("a component gave up")
		}
	}
	if ctx.Err() != nil {
		return nil // asked to stop while starting
	}
	return logs.explain(err)
}

// start brings everything up in order and returns the API server's URL.
func (p *plane) start(ctx context.Context) (string, error) {
	dir, err := p.prepareDir()
	if err != nil {
		return "", err
	}
	// A listener that is handed over cannot lose its port to somebody else.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("port for kube-apiserver: %w", err)
	}
	p.onStop(func() { _ = listener.Close() })
	server := "https://" + listener.Addr().String()
	id, err := newIdentity(filepath.Join(dir, "identity"), server, p.opts.kubeconfig)
	if err != nil {
		return "", err
	}
	endpoint, err := p.startEtcd(ctx, dir)
	if err != nil {
		return "", err
	}
	k, err := newComponents(id, endpoint, listener)
	if err != nil {
		return "", err
	}
	return server, p.startKubernetes(ctx, k, id)
}

// prepareDir makes the data directory and settles where the kubeconfig goes.
func (p *plane) prepareDir() (string, error) {
	dir := p.opts.dataDir
	if dir == "" {
		temporary, err := os.MkdirTemp("", "towline-controlplane-")
		if err != nil {
			return "", fmt.Errorf("data directory: %w", err)
		}
		p.onStop(func() { _ = os.RemoveAll(temporary) })
		dir = temporary
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("data directory: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("data directory: %w", err)
	}
	if err := p.lockDir(dir); err != nil {
		return "", err
	}
	if p.opts.kubeconfig == "" {
		p.opts.kubeconfig = filepath.Join(dir, "admin.kubeconfig")
	}
	if p.opts.kubeconfig, err = filepath.Abs(p.opts.kubeconfig); err != nil {
		return "", fmt.Errorf("kubeconfig: %w", err)
	}
	// A kubeconfig without its cluster only misleads.
	p.onStop(func() { _ = os.Remove(p.opts.kubeconfig) })
	return dir, nil
}

// lockDir refuses a directory another control plane works in: it would lose its
// sockets and certificates to this one. The kernel drops the lock of a dead
// process.
func (p *plane) lockDir(dir string) error {
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = file.Close()
		return fmt.Errorf("data directory %s: another control plane uses it: %w", dir, err)
	}
	p.onStop(func() { _ = file.Close() })
	return nil
}

func (p *plane) startEtcd(ctx context.Context, dir string) (string, error) {
	sockets, remove, err := socketDir(dir)
	if err != nil {
		return "", err
	}
	p.onStop(remove)
	etcd, endpoint, err := startEtcd(ctx, filepath.Join(dir, "etcd"), sockets)
	if err != nil {
		return "", err
	}
	p.onStop(func() {
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			etcd.Close()
		}()
		select {
		case <-closed:
		case <-time.After(stopEtcd):
		}
	})
	return endpoint, nil
}

// startKubernetes starts the API server and, when it is ready, the components
// that talk to it; it returns when those have begun to work.
func (p *plane) startKubernetes(ctx context.Context, k *components, id *identity) error {
	ctx, cancel := context.WithTimeoutCause(ctx, p.opts.readyTimeout,
		fmt.Errorf("waited %v", p.opts.readyTimeout))
	defer cancel()
	client, err := newAdminClient(id.admin)
	if err != nil {
		return err
	}
	apiserver := start("kube-apiserver", k.runAPIServer, p.failed)
	p.onStop(func() { stop(stopAPIServer, apiserver) })
	if err := p.unlessFailed(ctx, func(ctx context.Context) error { return apiServerReady(ctx, client) }); err != nil {
		return err
	}
	controllers := start("kube-controller-manager", k.runControllers, p.failed)
	scheduler := start("kube-scheduler", k.runScheduler, p.failed)
	p.onStop(func() { stop(stopControllers, controllers, scheduler) })
	return p.unlessFailed(ctx, func(ctx context.Context) error { return controllersReady(ctx, client) })
}

// unlessFailed runs wait, and returns earlier when a component fails.
func (p *plane) unlessFailed(ctx context.Context, wait func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	result := make(chan error, 1)
	go func() { result <- wait(ctx) }()
	select {
	case err := <-result:
		return err
	case err := <-p.failed:
		return err
	case <-p.logs.fatal:
		return errors.New("a component gave up")
	}
}

func (p *plane) onStop(fn func()) { p.undo = append(p.undo, fn) }

// stop undoes every step of start that was taken, the last one first.
func (p *plane) stop() {
	for i := len(p.undo) - 1; i >= 0; i-- {
		p.undo[i]()
	}
}
