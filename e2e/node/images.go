//go:build linux

package node

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// The images that this package makes.
const (
	pauseImage = "localhost/pause:1"
	dnsImage   = "localhost/coredns:1"
	// RedisImage is Redis of this machine, with a shell, as the official image has.
	RedisRepository = "localhost/redis"
	RedisTag        = "machine"
	// SimulatorImage is the simulated GitLab with git of this machine.
	SimulatorImage = "localhost/gitlabsim:machine"

	// ownArchives are the files of these images.
	ownArchives = "image*.tar"
)

// applets are the programs beside Redis that the chart calls in its image.
var applets = []string{"sh", "cat", "cut", "grep", "sha256sum", "sleep", "tr"}

// ownImages are the images made of programs of this machine, of CoreDNS, and of
// the simulated GitLab.
func ownImages(ctx context.Context, coreDNS, simulator string) ([]image, error) {
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return nil, err
	}
	redis := image{
		name: RedisRepository + ":" + RedisTag, files: map[string]string{"bin/busybox": busybox}, links: map[string]string{},
		entrypoint: []string{"redis-server"},
	}
	for _, a := range applets {
		redis.links["bin/"+a] = "busybox"
	}
	if err := redis.add(ctx, "redis-server", "redis-cli"); err != nil {
		return nil, err
	}
	gitlab := image{name: SimulatorImage, files: map[string]string{"gitlabsim": simulator}, entrypoint: []string{"/gitlabsim"}}
	if err := gitlab.add(ctx, "git"); err != nil {
		return nil, err
	}
	return []image{
		{name: pauseImage, files: map[string]string{"bin/busybox": busybox}, entrypoint: []string{"busybox", "sleep", "2147483647"}},
		{name: dnsImage, files: map[string]string{"bin/coredns": coreDNS}, entrypoint: []string{"coredns"}},
		redis, gitlab,
	}, nil
}

// add adds programs of this machine with the libraries that they need.
func (i image) add(ctx context.Context, programs ...string) error {
	for _, name := range programs {
		program, err := exec.LookPath(name)
		if err != nil {
			return err
		}
		i.files["bin/"+name] = program
		libraries, err := librariesOf(ctx, program)
		if err != nil {
			return err
		}
		for _, l := range libraries {
			i.files[strings.TrimPrefix(l, "/")] = l
		}
	}
	return nil
}

// library is a line of ldd that names a file.
var library = regexp.MustCompile(`(?m)(/\S+) \(0x[0-9a-f]+\)$`)

func librariesOf(ctx context.Context, program string) ([]string, error) {
	out, err := exec.CommandContext(ctx, "ldd", program).Output()
	if err != nil {
		return nil, fmt.Errorf("libraries of %s: %w", program, err)
	}
	return namedLibraries(string(out)), nil
}

// namedLibraries are the files that ldd names.
func namedLibraries(said string) []string {
	var all []string
	for _, m := range library.FindAllStringSubmatch(said, -1) {
		all = append(all, m[1])
	}
	return all
}

// simulatorPackage is the command of the simulated GitLab.
const simulatorPackage = "github.com/towline/towline/e2e/gitlabsim/cmd/gitlabsim"

// buildSimulator builds the simulated GitLab as its Dockerfile does.
func buildSimulator(ctx context.Context, program string) error {
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, simulatorPackage)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the simulated GitLab: %w\n%s", err, out)
	}
	return nil
}

// writeImages writes this package's images into dir.
func writeImages(ctx context.Context, dir, coreDNS string) error {
	simulator := filepath.Join(dir, "gitlabsim")
	if err := buildSimulator(ctx, simulator); err != nil {
		return err
	}
	images, err := ownImages(ctx, coreDNS, simulator)
	if err != nil {
		return err
	}
	for n, i := range images {
		f, err := os.Create(filepath.Join(dir, strings.Replace(ownArchives, "*", strconv.Itoa(n), 1)))
		if err != nil {
			return err
		}
		if err := i.write(f); err != nil {
			_ = f.Close()
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	return nil
}
