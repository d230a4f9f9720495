package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

// maxSocketPath stays below the kernel's limit of 107 bytes for a unix socket,
// leaving room for the longest name used here.
const maxSocketPath = 90

// startEtcd starts a single-member etcd in dir and returns its client endpoint.
// It listens on unix sockets in a directory only the owner can enter: no port to
// race for, and nobody else on the machine can write to the cluster's store.
func startEtcd(ctx context.Context, dir, sockets string) (*embed.Etcd, string, error) {
	client := url.URL{Scheme: "unix", Path: filepath.Join(sockets, "client.sock")}
	peer := url.URL{Scheme: "unix", Path: filepath.Join(sockets, "peer.sock")}

	cfg := embed.NewConfig()
	cfg.Dir = dir
	cfg.ListenClientUrls = []url.URL{client}
	cfg.ListenPeerUrls = []url.URL{peer}
	// The advertised URLs stay at their defaults: they are labels nobody dials.
	cfg.UnsafeNoFsync = true
	cfg.TickMs, cfg.ElectionMs = 10, 100 // a lone member elects itself: start at once
	cfg.LogLevel = "warn"
	cfg.LogOutputs = []string{"stderr"}

	etcd, err := embed.StartEtcd(cfg)
	if err != nil {
		return nil, "", fmt.Errorf("etcd: %w", err)
	}
	select {
	case <-etcd.Server.ReadyNotify():
		return etcd, client.String(), nil
	case err = <-etcd.Err():
		err = fmt.Errorf("etcd: %w", err)
	case <-time.After(30 * time.Second):
		err = fmt.Errorf("etcd is not ready after 30 s")
	case <-ctx.Done():
		err = ctx.Err()
	}
	etcd.Close()
	return nil, "", err
}

// socketDir returns a directory for unix sockets: inside dir, or a temporary one
// when paths in dir would be too long. The returned function removes it.
func socketDir(dir string) (string, func(), error) {
	path := filepath.Join(dir, "run")
	if len(path) <= maxSocketPath {
		if err := os.MkdirAll(path, 0o700); err != nil {
			return "", nil, fmt.Errorf("sockets: %w", err)
		}
	} else {
		temporary, err := os.MkdirTemp("", "towline-run-")
		if err != nil {
			return "", nil, fmt.Errorf("sockets: %w", err)
		}
		path = temporary
	}
	return path, func() { _ = os.RemoveAll(path) }, nil
}
