package sandbox

import (
	"fmt"
	"path/filepath"
	"strings"
)

// checkToolbox refuses a toolbox in which the job could write what it executes.
func (c Config) checkToolbox() error {
	for _, dir := range c.Toolbox {
		for _, own := range []string{c.ProjectDir, c.TempDir} {
			if err := CheckToolbox(dir, own); err != nil {
				return err
			}
		}
	}
	return nil
}

// CheckToolbox says whether dir can be a toolbox for jobs that write below
// writable: neither may lie in the other, or a job could execute what it wrote.
func CheckToolbox(dir, writable string) error {
	tools, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return fmt.Errorf("toolbox: %w", err)
	}
	own, err := filepath.EvalSymlinks(writable)
	if err != nil {
		return fmt.Errorf("toolbox %s: %w", dir, err)
	}
	if within(tools, own) || within(own, tools) {
		return fmt.Errorf("toolbox %s: it shares files with %s, where jobs write; use a directory that jobs cannot change", dir, writable)
	}
	return nil
}

// within says whether path is dir or below it; both are clean and absolute.
func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}
