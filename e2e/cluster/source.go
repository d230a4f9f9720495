package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"sort"
	"strings"
)

// e2eModule is the module this package belongs to.
const e2eModule = "github.com/towline/towline/e2e"

// source is the module that a program is built from.
type source struct {
	dir    string
	static bool // without cgo
}

// findSource finds the module of p beside this package's sources.
func findSource(ctx context.Context, p program) (source, error) {
	src := source{static: p.static}
	below := filepath.Join(p.module...)
	// A test binary knows where it was compiled, unless built with -trimpath.
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		src.dir = filepath.Join(filepath.Dir(file), "..", below)
		if _, err := os.Stat(filepath.Join(src.dir, "go.mod")); err == nil {
			return src, nil
		}
	}
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", e2eModule).Output()
	if err != nil {
		return src, fmt.Errorf("the sources of %s: run inside the repository: %w", p.name, describe(err))
	}
	src.dir = filepath.Join(strings.TrimSpace(string(out)), below)
	return src, nil
}

// command prepares a go command in the module, which must not see the workspace.
func (s source) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "GOWORK=off")
	if s.static {
		cmd.Env = append(cmd.Env, "CGO_ENABLED=0")
	}
	return cmd
}

// digest names a build: the same digest means the same binary.
func digest(ctx context.Context, src source, include func(path string) bool, flags []string) (string, error) {
	env, err := src.command(ctx, "env", "GOVERSION", "GOOS", "GOARCH", "GOAMD64", "GOARM64",
		"CGO_ENABLED", "GOFLAGS", "GOEXPERIMENT").Output()
	if ctx.Err() != nil {
		err = ctx.Err() // a program that was killed does not know why
	}
	if err != nil {
		return "", fmt.Errorf("go env: %w", describe(err))
	}
	files, err := sourceFiles(src.dir, include)
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\n%q\n", env, flags)
	for _, name := range files {
		content, err := os.ReadFile(filepath.Join(src.dir, name))
		if err != nil {
			return "", fmt.Errorf("source of a program: %w", err)
		}
		fmt.Fprintf(sum, "%s %d\n", name, len(content))
		sum.Write(content)
	}
	return hex.EncodeToString(sum.Sum(nil))[:16], nil
}

// sourceFiles lists the files below dir that include accepts, by relative path.
func sourceFiles(dir string, include func(path string) bool) ([]string, error) {
	var files []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err == nil && include(name) {
			files = append(files, name)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("sources of a program: %w", err)
	}
	sort.Strings(files)
	return files, nil
}

// moduleFile accepts the files that fix every dependency.
func moduleFile(path string) bool { return path == "go.mod" || path == "go.sum" }

// programFile accepts what is compiled into the controlplane program.
func programFile(path string) bool {
	return moduleFile(path) || strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go")
}

var kubernetesRequirement = regexp.MustCompile(`(?m)^\s*k8s\.io/kubernetes (v(\d+)\.(\d+)\.\S+)`)

// linkerFlags returns the linker flags that tell a Kubernetes program its own
// version, read from go.mod. Without them a server calls itself v0.0.0-master,
// and charts with a kubeVersion condition refuse it.
func linkerFlags(dir string) (string, error) {
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return "", fmt.Errorf("version of Kubernetes: %w", err)
	}
	flags := []string{"-s", "-w"} // symbols are a third of the file
	match := kubernetesRequirement.FindSubmatch(mod)
	if match == nil {
		return strings.Join(flags, " "), nil // no part of Kubernetes
	}
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		flags = append(flags,
			fmt.Sprintf("-X %s.gitVersion=%s", pkg, match[1]),
			fmt.Sprintf("-X %s.gitMajor=%s", pkg, match[2]),
			fmt.Sprintf("-X %s.gitMinor=%s", pkg, match[3]),
			fmt.Sprintf("-X %s.gitCommit=unknown", pkg),
			fmt.Sprintf("-X %s.gitTreeState=archive", pkg))
	}
	return strings.Join(flags, " "), nil
}

// describe adds what a failed command wrote to stderr.
func describe(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) && len(exit.Stderr) > 0 {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
	}
	return err
}
