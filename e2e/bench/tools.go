package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// helmFolder is a directory with the real helm under its own name. The binary is
// built from the module that the runner links, so that both are one version.
func helmFolder(ctx context.Context, in string) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "-C", "services/runner", "tool", "-n", "helm").Output()
	if err != nil {
		return "", fmt.Errorf("build the real helm (run this at the top of the repository): %w", err)
	}
	dir := filepath.Join(in, "real")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	return dir, os.Symlink(strings.TrimSpace(string(out)), filepath.Join(dir, "helm"))
}
