package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// keepBuilds is how many builds of a program stay in the cache: the current one
// and the one before, for whoever switches between two branches.
const keepBuilds = 2

// program is something built from the controlplane module.
type program struct {
	name   string                 // file name
	what   string                 // for people, with how long it takes
	pkg    string                 // what go build gets
	inputs func(path string) bool // the files of the module that decide the result
}

var (
	controlPlane = program{
		name: "controlplane", pkg: ".", inputs: programFile,
		what: "the control plane (first time takes about 4 minutes)",
	}
	kubectl = program{
		name: "kubectl", pkg: "k8s.io/kubernetes/cmd/kubectl", inputs: moduleFile,
		what: "kubectl (first time takes about 2 minutes)",
	}
)

// Binary returns the path of the controlplane program and builds it when its
// sources, the Go version or the flags have changed. While it builds it writes a
// line to progress now and then; progress may be nil. Several processes may ask
// at once: one builds, the others wait.
func Binary(ctx context.Context, progress io.Writer) (string, error) {
	return cached(ctx, controlPlane, progress)
}

// Kubectl returns the path of the real kubectl, of the control plane's version,
// and builds it when needed, as Binary does. The file is called kubectl, so its
// folder can be put on a PATH.
func Kubectl(ctx context.Context, progress io.Writer) (string, error) {
	return cached(ctx, kubectl, progress)
}

// cached builds p from source, unless the cache has it.
func cached(ctx context.Context, p program, progress io.Writer) (string, error) {
	if progress == nil {
		progress = io.Discard
	}
	dir, err := sourceDir(ctx)
	if err != nil {
		return "", err
	}
	version, err := versionFlags(dir)
	if err != nil {
		return "", err
	}
	flags := []string{"-ldflags", version, p.pkg}
	key, err := digest(ctx, dir, p.inputs, flags)
	if err != nil {
		return "", err
	}
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("cache directory: %w", err)
	}
	store := store{dir: filepath.Join(base, "towline", "e2e", p.name), name: p.name}
	return store.get(ctx, key, progress, func(ctx context.Context, output string) error {
		return goBuild(ctx, dir, output, flags, p.what, progress)
	})
}

// goBuild compiles into output, with a sign of life every half minute.
func goBuild(ctx context.Context, dir, output string, flags []string, what string, progress io.Writer) error {
	var log bytes.Buffer
	cmd := goCommand(ctx, dir, append([]string{"build", "-o", output}, flags...)...)
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	started := time.Now()
	fmt.Fprintf(progress, "building %s...\n", what)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("build %s: %w", filepath.Base(output), err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	tick := time.NewTicker(30 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			fmt.Fprintf(progress, "building %s... %v\n", what, time.Since(started).Round(time.Second))
		case err := <-done:
			return buildResult(ctx, err, filepath.Base(output), &log, started, progress)
		}
	}
}

func buildResult(ctx context.Context, err error, name string, log *bytes.Buffer, started time.Time, progress io.Writer) error {
	const enough = 4 << 10
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("build %s: %w", name, context.Cause(ctx))
	case err != nil:
		output := bytes.TrimSpace(log.Bytes())
		if len(output) > enough {
			output = output[len(output)-enough:]
		}
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return fmt.Errorf("build %s: %w\n%s", name, err, output)
		}
		return fmt.Errorf("build %s: %w", name, err)
	}
	fmt.Fprintf(progress, "built %s in %v\n", name, time.Since(started).Round(100*time.Millisecond))
	return nil
}
