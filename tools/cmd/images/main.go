package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/towline/towline/tools/internal/output"
	"github.com/towline/towline/tools/internal/repository"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Getenv, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1)
	}
}

// options are what the command line and SOURCE_DATE_EPOCH say.
type options struct {
	out       string
	push      string
	version   string
	services  []string
	platforms []v1.Platform
	created   time.Time
	busybox   map[string]string // files by platform
}

func parse(args []string, getenv func(string) string) (*options, error) {
	fs := flag.NewFlagSet("images", flag.ContinueOnError)
	out := fs.String("out", filepath.Join("bin", "images"), "`directory` for the archives, relative to the repository")
	version := fs.String("version", "", "version that the services report; default: the one in the source")
	services := fs.String("services", strings.Join(repository.Services, ","), "`names` of the services to build")
	platforms := fs.String("platforms", "linux/amd64,linux/arm64", "`list` of platforms")
	push := fs.String("push", "", "`registry`/path to push the images to as well, with the credentials of docker login")
	busybox := fs.String("busybox", "", "`list` of static busybox programs for the runner's toolbox folder, as linux/amd64=FILE,linux/arm64=FILE")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	opts := &options{out: *out, push: *push, version: *version, services: strings.Split(*services, ",")}
	for _, text := range strings.Split(*platforms, ",") {
		p, err := v1.ParsePlatform(text)
		if err != nil || p.OS != "linux" || p.Architecture == "" {
			return nil, fmt.Errorf("--platforms: %q is not linux/<architecture>", text)
		}
		opts.platforms = append(opts.platforms, *p)
	}
	var err error
	if opts.busybox, err = parseBusybox(*busybox); err != nil {
		return nil, err
	}
	if opts.created, err = output.Created(getenv); err != nil {
		return nil, err
	}
	return opts, nil
}

func run(ctx context.Context, args []string, getenv func(string) string, progress io.Writer) error {
	opts, err := parse(args, getenv)
	if err != nil {
		return err
	}
	root, err := repository.Root()
	if err != nil {
		return err
	}
	out := opts.out
	if !filepath.IsAbs(out) {
		out = filepath.Join(root, out)
	}
	if err := os.MkdirAll(out, 0o755); err != nil { //nolint:gosec // G301: build output, for everybody
		return err
	}
	work, err := os.MkdirTemp("", "towline-images-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	for _, service := range opts.services {
		began := time.Now()
		image, err := opts.build(ctx, root, work, service)
		if err != nil {
			return err
		}
		if err := opts.deliver(ctx, image, out, began, progress); err != nil {
			return fmt.Errorf("image of %s: %w", service, err)
		}
	}
	return nil
}

// build compiles what the image of a service consists of.
func (o *options) build(ctx context.Context, root, work, service string) (*Image, error) {
	image := &Image{Service: service, Version: o.version, Created: o.created, Roots: dialsGitLab(service)}
	for _, p := range o.platforms {
		binary := filepath.Join(work, service+"-"+p.Architecture)
		if err := compile(ctx, filepath.Join(root, "services", service), binary, o.version, p); err != nil {
			return nil, err
		}
		folder := ""
		if service == withToolbox {
			folder = filepath.Join(work, "toolbox-"+p.Architecture)
			if err := makeToolbox(ctx, root, work, folder, o.busybox[p.String()], p); err != nil {
				return nil, err
			}
		}
		image.Binaries = append(image.Binaries, Binary{Platform: p, Path: binary, Toolbox: folder})
	}
	return image, nil
}

// deliver writes the archive and the bills of materials, and pushes if it is told
// where.
func (o *options) deliver(ctx context.Context, image *Image, out string, began time.Time, progress io.Writer) error {
	archive := filepath.Join(out, image.Name()+".tar")
	digest, err := image.WriteArchive(archive)
	if err != nil {
		return err
	}
	if err := image.writeSBOMs(out); err != nil {
		return err
	}
	fmt.Fprintf(progress, "%s %s (%s)\n", filepath.Join(o.out, filepath.Base(archive)), digest, time.Since(began).Round(100*time.Millisecond))
	if o.push == "" {
		return nil
	}
	pushed, err := image.Push(ctx, o.push)
	if err != nil {
		return err
	}
	fmt.Fprintf(progress, "pushed %s\n", pushed)
	return nil
}

// dialsGitLab says whether a service verifies certificates of the outside.
func dialsGitLab(service string) bool { return service != "policy" }

// compile builds the static binary of a directory as its image ships it: alone,
// without the workspace, without paths and dates of this machine.
func compile(ctx context.Context, dir, binary, version string, p v1.Platform) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", linkFlags(version), "-o", binary, ".") //nolint:gosec // G204: our own sources
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0", "GOOS="+p.OS, "GOARCH="+p.Architecture)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s for %s: %w\n%s", filepath.Base(dir), p.Architecture, err, out)
	}
	return nil
}

// linkFlags leave out what differs from build to build, and set the version.
func linkFlags(version string) string {
	flags := "-s -w -buildid="
	if version != "" {
		flags += " -X " + repository.ModulePrefix + "pkg/service.Version=" + version
	}
	return flags
}
