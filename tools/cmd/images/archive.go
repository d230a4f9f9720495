package main

import (
	"archive/tar"
	"bytes"
	"encoding/pem"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"

	"github.com/towline/towline/tools/internal/output"
)

// rootsPath is where Go's crypto/x509 looks first on Linux.
const rootsPath = "etc/ssl/certs/ca-certificates.crt"

// file is a file of an image. It belongs to root, so that the service's user
// cannot change it.
type file struct {
	mode int64
	data []byte
	link string // what a symbolic link points to
}

// rootCertificates is Mozilla's list in PEM. Like a distribution's bundle it
// cannot express the constraints that Mozilla puts on a few of its roots.
func rootCertificates() []byte {
	var out bytes.Buffer
	for root := range bundle.Roots() {
		_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}) // a Buffer takes everything
	}
	return out.Bytes()
}

// layer makes an image layer of files by path, with the directories they need.
func layer(files map[string]file, at time.Time) (v1.Layer, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	made := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		for _, dir := range parents(name) {
			if made[dir] {
				continue
			}
			made[dir] = true
			if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755, ModTime: at, Format: tar.FormatPAX}); err != nil {
				return nil, err
			}
		}
		f := files[name]
		if f.link != "" {
			if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: f.link, Mode: 0o777, ModTime: at, Format: tar.FormatPAX}); err != nil {
				return nil, err
			}
			continue
		}
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: f.mode, Size: int64(len(f.data)), ModTime: at, Format: tar.FormatPAX}); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.data); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(out.Bytes())), nil }
	return tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer), tarball.WithCompressedCaching)
}

// parents are the directories above name, outermost first.
func parents(name string) []string {
	var above []string
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		above = append(above, dir)
	}
	slices.Reverse(above)
	return above
}

// archive packs a directory into a tar file at target, sorted and dated at.
func archive(dir, target string, at time.Time) error {
	return output.Write(target, func(out io.Writer) error {
		w := tar.NewWriter(out)
		err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error { // in lexical order
			if err != nil || name == dir {
				return err
			}
			return pack(w, dir, name, d.IsDir(), at)
		})
		if err != nil {
			return err
		}
		return w.Close()
	})
}

// pack adds one file or directory to w.
func pack(w *tar.Writer, dir, name string, isDir bool, at time.Time) error {
	h := &tar.Header{Typeflag: tar.TypeReg, Name: filepath.ToSlash(strings.TrimPrefix(name, dir+string(filepath.Separator))), Mode: 0o644, ModTime: at, Format: tar.FormatPAX}
	if isDir {
		h.Typeflag, h.Name, h.Mode = tar.TypeDir, h.Name+"/", 0o755
		return w.WriteHeader(h)
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	h.Size = info.Size()
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	_, err = io.Copy(w, f)
	return err
}
