package toolbox

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/towline/towline/services/runner/internal/toolbox/program"
)

// Names of the two programs in a folder that MakeFolder has made.
const (
	busyboxFile = "busybox"
	callFile    = "towline-call"
)

// MakeFolder makes a toolbox folder: busybox under each of its names, and the
// program that calls back under each of names, which win. A folder of an
// earlier time is brought up to date; files that were added to it stay.
func MakeFolder(dir, busybox, call string, names []string) error {
	info, err := program.Inspect(busybox)
	if err != nil {
		return fmt.Errorf("busybox: %w", err)
	}
	if info.Loader != "" {
		return fmt.Errorf("busybox: %s is dynamically linked, and only static programs run in a job; on Debian or Ubuntu: apt-get install busybox-static", busybox)
	}
	applets, err := program.Applets(busybox)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // G301: jobs of another user read it
		return err
	}
	for from, name := range map[string]string{busybox: busyboxFile, call: callFile} {
		if err := install(from, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	for _, name := range applets {
		if !slices.Contains(names, name) && name != busyboxFile {
			if err := link(busyboxFile, filepath.Join(dir, name)); err != nil {
				return err
			}
		}
	}
	for _, name := range names {
		if err := link(callFile, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

func install(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	// A program that is running cannot be written to, but replaced.
	if err := os.Remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755) //nolint:gosec // G302: jobs of another user execute it
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		_ = out.Close()
		return fmt.Errorf("%s: %w", to, err)
	}
	return out.Close()
}

// link replaces a link, but no file that somebody has put there.
func link(target, at string) error {
	info, err := os.Lstat(at)
	switch {
	case err == nil && info.Mode()&os.ModeSymlink == 0:
		return nil
	case err == nil:
		if err := os.Remove(at); err != nil {
			return err
		}
	}
	return os.Symlink(target, at)
}
