package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// envActAsParent makes the test binary start a plane, print it, and wait to be
// killed.
const envActAsParent = "TOWLINE_E2E_TEST_ACT_AS_PARENT"

// trace is what must be gone after a plane has ended.
type trace struct {
	PID        int
	Kubeconfig string
	Host       string
}

func TestStopLeavesNothing(t *testing.T) {
	temporary := shortTempDir(t)
	t.Setenv("TMPDIR", temporary)
	c := startOwn(t, Options{})
	left := traceOf(t, c)
	info, err := os.Stat(c.Kubeconfig())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("kubeconfig: mode %v, %v; want 0600", info.Mode().Perm(), err)
	}
	started := time.Now()
	if err := c.Stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	t.Logf("stopped in %v", time.Since(started).Round(time.Millisecond))
	if err := c.Stop(); err != nil {
		t.Errorf("stop again: %v", err)
	}
	assertGone(t, left, temporary)
}

func TestPlaneEndsWithItsKilledParent(t *testing.T) {
	temporary := shortTempDir(t)
	parent := exec.Command(os.Args[0], "-test.run=^TestActAsParent$")
	parent.Env = append(os.Environ(), envActAsParent+"=1", "TMPDIR="+temporary, EnvKubeconfig+"=")
	parent.Stderr = os.Stderr
	stdout, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	var left trace
	err = json.NewDecoder(stdout).Decode(&left)
	_ = parent.Process.Kill()
	_ = parent.Wait()
	if err != nil {
		t.Fatalf("the parent did not start a plane: %v", err)
	}
	assertGone(t, left, temporary)
}

// TestActAsParent is not a test: TestPlaneEndsWithItsKilledParent runs it in a
// process of its own.
func TestActAsParent(t *testing.T) {
	if os.Getenv(envActAsParent) == "" {
		t.Skip("only a helper")
	}
	c := startOwn(t, Options{})
	if err := json.NewEncoder(os.Stdout).Encode(traceOf(t, c)); err != nil {
		t.Fatal(err)
	}
	select {}
}

func TestStopReportsAPlaneThatDied(t *testing.T) {
	p, err := launch("/bin/sh", "-c", "unused")
	if err != nil {
		t.Fatal(err)
	}
	// The shell knows no --exit-with-parent and fails, as a broken plane would.
	_, readyErr := p.ready(t.Context())
	if readyErr == nil || !strings.Contains(readyErr.Error(), "exit status") {
		t.Errorf("ready: %v, want the exit status", readyErr)
	}
	if err := p.stop(); err == nil {
		t.Error("stop: no error for a plane that had died")
	}
}

func TestStartGivesUpWithItsContext(t *testing.T) {
	t.Setenv(EnvKubeconfig, "")
	temporary := shortTempDir(t)
	t.Setenv("TMPDIR", temporary)
	if _, err := Binary(t.Context(), os.Stderr); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := Start(ctx, Options{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("start: %v, want deadline exceeded", err)
	}
	assertEmpty(t, temporary)
}

func TestAttachedClusterIsLeftAlone(t *testing.T) {
	kubeconfig := Shared(t).Kubeconfig()
	t.Setenv(EnvKubeconfig, kubeconfig)
	c, err := Start(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if c.Kubeconfig() != kubeconfig {
		t.Errorf("kubeconfig = %s, want %s", c.Kubeconfig(), kubeconfig)
	}
	if err := c.Stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	if _, err := Start(t.Context(), Options{}); err != nil {
		t.Errorf("the cluster did not survive: %v", err)
	}
}

// startOwn starts a plane although TOWLINE_E2E_KUBECONFIG may be set.
func startOwn(t *testing.T, opts Options) *Cluster {
	t.Helper()
	t.Setenv(EnvKubeconfig, "")
	opts.Progress = os.Stderr
	c, err := Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Stop() })
	return c
}

func traceOf(t *testing.T, c *Cluster) trace {
	t.Helper()
	cfg, err := c.RESTConfig()
	if err != nil {
		t.Fatal(err)
	}
	server, err := url.Parse(cfg.Host)
	if err != nil {
		t.Fatal(err)
	}
	return trace{PID: c.process.cmd.Process.Pid, Kubeconfig: c.Kubeconfig(), Host: server.Host}
}

// assertGone waits for the process to end, then looks for what it left.
func assertGone(t *testing.T, left trace, temporary string) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for alive(left.PID) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d is still there", left.PID)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if _, err := os.Stat(left.Kubeconfig); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("kubeconfig %s: %v, want no such file", left.Kubeconfig, err)
	}
	if conn, err := net.DialTimeout("tcp", left.Host, time.Second); err == nil {
		conn.Close()
		t.Errorf("something still listens on %s", left.Host)
	}
	assertEmpty(t, temporary)
}

// alive tells whether a process exists and is not merely waiting to be reaped,
// which for an orphan may take as long as the machine's init likes.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return !errors.Is(err, os.ErrNotExist) || !isDir("/proc/self")
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(after, "Z")
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

func assertEmpty(t *testing.T, dir string) {
	t.Helper()
	file, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	names, err := file.Readdirnames(0)
	if err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	for _, name := range names {
		t.Errorf("left behind: %s", filepath.Join(dir, name))
	}
}

// shortTempDir is a temporary directory whose path leaves room for a socket's.
func shortTempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "e2e") //nolint:usetesting // t.TempDir is too long
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
