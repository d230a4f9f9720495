//go:build linux

package node

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"runtime"
	"slices"
)

// image is a container image of one layer, made from files of this machine.
type image struct {
	name       string            // with its tag, for example localhost/pause:1
	files      map[string]string // where a file of this machine goes to
	links      map[string]string // symbolic links, with what they point to
	entrypoint []string
}

// blob is a part of an OCI archive.
type blob struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
	content     []byte
}

func newBlob(kind string, content []byte) blob {
	sum := sha256.Sum256(content)
	return blob{
		MediaType: "application/vnd.oci.image." + kind, Digest: "sha256:" + hex.EncodeToString(sum[:]),
		Size: int64(len(content)), content: content,
	}
}

// write writes the image as an OCI archive.
func (i image) write(w io.Writer) error {
	content, err := i.layer()
	if err != nil {
		return fmt.Errorf("image %s: %w", i.name, err)
	}
	layer := newBlob("layer.v1.tar", content)
	config, err := encode("config.v1+json", map[string]any{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": map[string]any{"Entrypoint": i.entrypoint, "Env": []string{"PATH=/bin"}, "WorkingDir": "/"},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{layer.Digest}},
	})
	if err != nil {
		return err
	}
	manifest, err := encode("manifest.v1+json", map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": []blob{layer},
	})
	if err != nil {
		return err
	}
	manifest.Annotations = map[string]string{"io.containerd.image.name": i.name}
	index, err := encode("index.v1+json", map[string]any{"schemaVersion": 2, "manifests": []blob{manifest}})
	if err != nil {
		return err
	}
	files := map[string][]byte{"oci-layout": []byte(`{"imageLayoutVersion":"1.0.0"}`), "index.json": index.content}
	for _, b := range []blob{layer, config, manifest} {
		files[path.Join("blobs", "sha256", b.Digest[len("sha256:"):])] = b.content
	}
	out := tar.NewWriter(w)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := out.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(files[name]))}); err != nil {
			return err
		}
		if _, err := out.Write(files[name]); err != nil {
			return err
		}
	}
	return out.Close()
}

func encode(kind string, v any) (blob, error) {
	content, err := json.Marshal(v)
	return newBlob(kind, content), err
}

// layer is the image's file system, all of it root's.
func (i image) layer() ([]byte, error) {
	var content bytes.Buffer
	out := tar.NewWriter(&content)
	for _, name := range slices.Sorted(maps.Keys(i.files)) {
		data, err := os.ReadFile(i.files[name])
		if err != nil {
			return nil, err
		}
		if err := out.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(data))}); err != nil {
			return nil, err
		}
		if _, err := out.Write(data); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(i.links)) {
		if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: i.links[name], Mode: 0o777}); err != nil {
			return nil, err
		}
	}
	if err := out.Close(); err != nil {
		return nil, err
	}
	return content.Bytes(), nil
}
