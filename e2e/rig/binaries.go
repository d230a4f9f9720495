package rig

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// EnvBinaries names a directory with the three services' binaries to use
// instead of building them.
const EnvBinaries = "TOWLINE_E2E_BINARIES"

var services = []string{"policy", "tunnel", "runner"}

// Build builds the services into dir, with the race detector if race is set,
// and says on progress how it goes.
func Build(ctx context.Context, dir string, race bool, progress io.Writer) error {
	root, err := sourceRoot(ctx)
	if err != nil {
		return err
	}
	for _, s := range services {
		args := []string{"build", "-o", filepath.Join(dir, s)}
		if race {
			args = append(args, "-race")
		}
		began := time.Now()
		cmd := exec.CommandContext(ctx, "go", append(args, "./services/"+s)...)
		cmd.Dir = root
		if !race { // as the images are built; the race detector needs C
			cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0")
		}
		stop := say(progress, "building "+s)
		out, err := cmd.CombinedOutput()
		stop()
		if err != nil {
			return fmt.Errorf("build %s: %w\n%s", s, err, out)
		}
		if took := time.Since(began); took > time.Second {
			fmt.Fprintf(progress, "built %s in %s\n", s, took.Round(100*time.Millisecond))
		}
	}
	return nil
}

// say repeats what is going on while it takes long.
func say(progress io.Writer, what string) (stop func()) {
	const every = 15 * time.Second
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for n := 1; ; n++ {
			select {
			case <-done:
				return
			case <-tick.C:
				fmt.Fprintf(progress, "%s... %s\n", what, time.Duration(n)*every)
			}
		}
	})
	return func() { close(done); wg.Wait() }
}

// sourceRoot is the directory of go.work.
func sourceRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOWORK").Output()
	work := strings.TrimSpace(string(out))
	if err != nil || work == "" || work == "off" {
		return "", fmt.Errorf("no go.work found: run this inside the repository (%w)", err)
	}
	return filepath.Dir(work), nil
}

// binaries is the directory of the services' binaries: EnvBinaries, or dir
// after building into it.
func binaries(ctx context.Context, dir string, progress io.Writer) (string, error) {
	if given := os.Getenv(EnvBinaries); given != "" {
		return filepath.Abs(given)
	}
	return dir, Build(ctx, dir, false, progress)
}
