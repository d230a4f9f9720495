package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

const (
	// withToolbox is the service whose image has the toolbox folder.
	withToolbox = "runner"
	// toolboxPath is where the runner looks for it.
	toolboxPath = "opt/towline/toolbox"
)

// parseBusybox reads linux/amd64=FILE,linux/arm64=FILE.
func parseBusybox(list string) (map[string]string, error) {
	files := map[string]string{}
	for _, entry := range strings.Split(list, ",") {
		if entry == "" {
			continue
		}
		platform, file, ok := strings.Cut(entry, "=")
		if !ok {
			return nil, fmt.Errorf("--busybox: %q is not platform=file", entry)
		}
		if file != "" { // this machine may have none; then what needs it says so
			files[platform] = file
		}
	}
	return files, nil
}

// makeToolbox makes the toolbox folder of one platform. The runner itself does
// it, because it knows its commands' names; one for this machine is built.
func makeToolbox(ctx context.Context, root, work, folder, busybox string, p v1.Platform) error {
	if busybox == "" {
		return fmt.Errorf("the runner's image for %s needs a static busybox of that platform: install Debian's busybox-static, or unpack it for another platform and give --busybox %s=FILE; or leave the platform out with --platforms", p, p)
	}
	runner := filepath.Join(root, "services", withToolbox)
	call := filepath.Join(work, "call-"+p.Architecture)
	if err := compile(ctx, filepath.Join(runner, "cmd", "call"), call, "", p); err != nil {
		return err
	}
	native := filepath.Join(work, "runner-native")
	if err := compile(ctx, runner, native, "", v1.Platform{OS: runtime.GOOS, Architecture: runtime.GOARCH}); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, native, "toolbox", "make", "-busybox", busybox, "-call", call, folder) //nolint:gosec // G204: what was just built
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("toolbox folder for %s: %w\n%s", p, err, out)
	}
	return nil
}

// toolboxFiles are the files and links of a folder as the image has them.
func toolboxFiles(dir string) (map[string]file, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	files := map[string]file{}
	for _, e := range entries {
		at, name := filepath.Join(dir, e.Name()), path.Join(toolboxPath, e.Name())
		if e.Type()&os.ModeSymlink != 0 {
			target, err := os.Readlink(at)
			if err != nil {
				return nil, err
			}
			files[name] = file{link: target}
			continue
		}
		data, err := os.ReadFile(at)
		if err != nil {
			return nil, err
		}
		files[name] = file{mode: 0o555, data: data}
	}
	return files, nil
}
