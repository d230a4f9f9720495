//go:build linux

package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/towline/towline/e2e/cluster"
)

const (
	// EnvOptional is the environment variable that, when not empty, lets a run on
	// a machine that cannot have a node pass, with a line that says so.
	EnvOptional = "TOWLINE_E2E_NODE_OPTIONAL"
	// EnvKeep is the environment variable that, when not empty, keeps the
	// directory with logs after a failed run.
	EnvKeep = "TOWLINE_E2E_NODE_KEEP"

	buildWithin = 30 * time.Minute // the first time builds Kubernetes
	startWithin = 2 * time.Minute
	dnsWithin   = time.Second
)

var shared *Node

// Shared is the node of this test process.
func Shared() *Node { return shared }

// Main runs a package's tests on a node of their own and returns the exit code.
func Main(m *testing.M) int {
	var code int
	var err error
	switch os.Getenv(envStage) {
	case stageInit:
		code, err = asInit()
	case stageInside:
		code, err = inside(m)
	default:
		code, err = outside()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "node:", err)
		return max(code, 1)
	}
	return code
}

// outside makes everything that needs the machine's network, and enters.
func outside() (code int, err error) {
	missing := Missing()
	if len(missing) == 0 {
		missing, err = tryMachine()
	}
	if err != nil {
		return exitFailed, err
	}
	if len(missing) > 0 {
		fmt.Fprintf(os.Stderr, "NOT RUN: the tests on a real node, for this machine lacks\n  %s\n", strings.Join(missing, "\n  "))
		if os.Getenv(EnvOptional) != "" {
			return 0, nil
		}
		return 1, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), buildWithin)
	defer cancel()
	programs, err := cluster.Node(ctx, os.Stderr)
	if err != nil {
		return exitFailed, err
	}
	if _, err := cluster.Binary(ctx, os.Stderr); err != nil {
		return exitFailed, err
	}
	dir, err := os.MkdirTemp("", "towline-node-")
	if err != nil {
		return exitFailed, err
	}
	defer func() {
		if code == 0 || os.Getenv(EnvKeep) == "" {
			err = errors.Join(err, os.RemoveAll(dir))
			return
		}
		fmt.Fprintln(os.Stderr, "node: logs are kept in", dir)
	}()
	if err := writeImages(ctx, dir, programs.CoreDNS); err != nil {
		return exitFailed, err
	}
	return enter(dir, []string{"TMPDIR=" + dir}) // what is left there goes with it
}

// inside starts the node and runs the tests.
func inside(m *testing.M) (code int, err error) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	if err := settle(ctx, os.Getenv(envDir)); err != nil {
		return exitFailed, err
	}
	if os.Getenv(envTrial) != "" {
		return 0, tryMounts(ctx)
	}
	programs, err := cluster.Node(ctx, os.Stderr)
	if err != nil {
		return exitFailed, err
	}
	if shared, err = start(ctx, os.Getenv(envDir), programs, os.Stderr); err != nil {
		return exitFailed, err
	}
	defer func() { err = errors.Join(err, shared.stop()) }()
	fmt.Fprintf(os.Stderr, "node: ready in %s\n", time.Since(began).Round(100*time.Millisecond))
	return m.Run(), nil
}
