package main

import (
	"archive/tar"
	"bytes"
	"crypto/x509"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// sample is an image with one line of text instead of each binary.
func sample(t *testing.T, service string) *Image {
	t.Helper()
	i := &Image{Service: service, Version: "v1.2.3", Created: time.Unix(1700000000, 0).UTC(), Roots: dialsGitLab(service)}
	for _, arch := range []string{"amd64", "arm64"} {
		path := filepath.Join(t.TempDir(), arch)
		if err := os.WriteFile(path, []byte("program for "+arch), 0o600); err != nil {
			t.Fatal(err)
		}
		i.Binaries = append(i.Binaries, Binary{Platform: v1.Platform{OS: "linux", Architecture: arch}, Path: path})
	}
	return i
}

// written writes the archive and opens it again as a registry client would.
func written(t *testing.T, i *Image) (v1.ImageIndex, v1.Descriptor) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image.tar")
	digest, err := i.WriteArchive(path)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	dir := t.TempDir()
	for name, f := range untar(t, raw) {
		target := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(target, f.data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	m, err := l.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Manifests) != 1 || m.Manifests[0].Digest != digest || m.Manifests[0].MediaType != types.OCIImageIndex {
		t.Fatalf("index.json names %+v, want the OCI index %s", m.Manifests, digest)
	}
	index, err := l.ImageIndex(digest)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index); err != nil {
		t.Fatal(err)
	}
	return index, m.Manifests[0]
}

// untar reads all files; it fails on owners, devices and hard links.
func untar(t *testing.T, r io.Reader) map[string]file {
	t.Helper()
	files := map[string]file{}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" {
			t.Errorf("%s belongs to %d:%d %q", h.Name, h.Uid, h.Gid, h.Uname)
		}
		switch h.Typeflag {
		case tar.TypeDir:
		case tar.TypeReg:
			data, err := io.ReadAll(tr)
			if err != nil {
				t.Fatal(err)
			}
			files[h.Name] = file{mode: h.Mode, data: data}
		case tar.TypeSymlink:
			files[h.Name] = file{link: h.Linkname}
		default:
			t.Errorf("%s is of type %q", h.Name, h.Typeflag)
		}
	}
}

func TestImage(t *testing.T) {
	for service, names := range map[string][]string{
		"policy": {"towline-policy"},
		"tunnel": {rootsPath, "towline-tunnel"},
		"runner": {rootsPath, "towline-runner"},
	} {
		t.Run(service, func(t *testing.T) {
			i := sample(t, service)
			index, entry := written(t, i)
			if got := entry.Annotations[annotationRef]; got != "v1.2.3" {
				t.Errorf("tag = %q", got)
			}
			m, err := index.IndexManifest()
			if err != nil {
				t.Fatal(err)
			}
			if len(m.Manifests) != 2 {
				t.Fatalf("%d platforms", len(m.Manifests))
			}
			for n, d := range m.Manifests {
				if d.Platform == nil || !d.Platform.Equals(i.Binaries[n].Platform) {
					t.Errorf("platform %d = %v", n, d.Platform)
				}
				image, err := index.Image(d.Digest)
				if err != nil {
					t.Fatal(err)
				}
				checkConfig(t, i, image, i.Binaries[n].Platform.Architecture)
				checkFiles(t, i, image, names, i.Binaries[n].Platform.Architecture)
			}
		})
	}
}

func checkConfig(t *testing.T, i *Image, image v1.Image, arch string) {
	t.Helper()
	c, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if c.OS != "linux" || c.Architecture != arch {
		t.Errorf("for %s/%s, want linux/%s", c.OS, c.Architecture, arch)
	}
	if c.Config.User != "65532:65532" {
		t.Errorf("user = %q", c.Config.User)
	}
	if !slices.Equal(c.Config.Entrypoint, []string{"/" + i.Name()}) || len(c.Config.Cmd)+len(c.Config.Env)+len(c.Config.ExposedPorts)+len(c.Config.Volumes) > 0 {
		t.Errorf("config = %+v", c.Config)
	}
	if got := c.Config.Labels["org.opencontainers.image.version"]; got != i.Version {
		t.Errorf("version = %q", got)
	}
	if !c.Created.Equal(i.Created) {
		t.Errorf("created = %v", c.Created)
	}
}

func checkFiles(t *testing.T, i *Image, image v1.Image, names []string, arch string) {
	t.Helper()
	root := mutate.Extract(image)
	defer root.Close()
	files := untar(t, root)
	if len(files) != len(names) {
		t.Errorf("%d files, want %v", len(files), names)
	}
	for _, name := range names {
		if _, ok := files[name]; !ok {
			t.Errorf("no %s", name)
		}
	}
	program := files[i.Name()]
	if program.mode != 0o555 || string(program.data) != "program for "+arch {
		t.Errorf("program = %o %q", program.mode, program.data)
	}
	if roots, ok := files[rootsPath]; ok {
		if roots.mode != 0o444 {
			t.Errorf("mode of the certificates = %o", roots.mode)
		}
		if !x509.NewCertPool().AppendCertsFromPEM(roots.data) || bytes.Count(roots.data, []byte("BEGIN")) < 100 {
			t.Errorf("not a usable list of certificates: %d bytes", len(roots.data))
		}
	}
}

func TestToolboxFolderIsInTheImage(t *testing.T) {
	i := sample(t, withToolbox)
	for n := range i.Binaries {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "busybox"), []byte("busybox"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("busybox", filepath.Join(dir, "grep")); err != nil {
			t.Fatal(err)
		}
		i.Binaries[n].Toolbox = dir
	}
	index, _ := written(t, i)
	m, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	image, err := index.Image(m.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	root := mutate.Extract(image)
	defer root.Close()
	files := untar(t, root)
	if f := files[toolboxPath+"/busybox"]; f.mode != 0o555 || string(f.data) != "busybox" {
		t.Errorf("busybox = %o %q", f.mode, f.data)
	}
	if f := files[toolboxPath+"/grep"]; f.link != "busybox" {
		t.Errorf("grep links to %q", f.link)
	}
}

func TestAPlatformWithoutBusyboxIsRefused(t *testing.T) {
	dir := t.TempDir()
	err := makeToolbox(t.Context(), dir, dir, dir, "", v1.Platform{OS: "linux", Architecture: "arm64"})
	if err == nil || !strings.Contains(err.Error(), "--busybox linux/arm64=FILE") {
		t.Errorf("error = %v", err)
	}
}

func TestSameBytesAgain(t *testing.T) {
	i := sample(t, "tunnel")
	var archives [2][]byte
	for n := range archives {
		path := filepath.Join(t.TempDir(), "image.tar")
		if _, err := i.WriteArchive(path); err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		archives[n] = raw
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("two archives of the same input differ")
	}
}

func TestOptions(t *testing.T) {
	opts, err := parse([]string{"--version=v1", "--platforms=linux/arm64"}, func(string) string { return "1700000000" })
	if err != nil {
		t.Fatal(err)
	}
	if opts.version != "v1" || len(opts.platforms) != 1 || opts.platforms[0].Architecture != "arm64" || opts.created.Unix() != 1700000000 {
		t.Errorf("options = %+v", opts)
	}
	for _, bad := range []string{"windows/amd64", "linux", ""} {
		if _, err := parse([]string{"--platforms=" + bad}, func(string) string { return "" }); err == nil {
			t.Errorf("platform %q was taken", bad)
		}
	}
}

// The Dockerfiles are for those who prefer them; they must not make another
// image than this program does.
func TestDockerfilesAgree(t *testing.T) {
	for _, service := range []string{"tunnel", "policy", "runner"} {
		raw, err := os.ReadFile(filepath.Join("..", "..", "..", "services", service, "Dockerfile"))
		if err != nil {
			t.Fatal(err)
		}
		text := string(raw)
		for _, want := range []string{
			"\nFROM scratch\n", "\nUSER " + user + "\n", "\nENTRYPOINT [\"/towline-" + service + "\"]\n", "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-buildvcs=false",
			"\nWORKDIR /src/services/" + service + "\n", "go build -trimpath \\\n    -ldflags \"" + linkFlags("$VERSION") + "\" \\\n    -o /out/towline-" + service + " .",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("services/%s/Dockerfile has no %q", service, strings.TrimSpace(want))
			}
		}
		if got := strings.Contains(text, "/"+rootsPath); got != dialsGitLab(service) {
			t.Errorf("services/%s/Dockerfile with root certificates: %v, want %v", service, got, dialsGitLab(service))
		}
	}
}
