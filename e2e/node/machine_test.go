//go:build linux

package node

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// unpack reads a tar file: contents, or what links point to, by name.
func unpack(t *testing.T, r io.Reader) map[string]string {
	t.Helper()
	files := map[string]string{}
	for in := tar.NewReader(r); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		files[h.Name] = h.Linkname + string(content)
	}
}

func TestImage(t *testing.T) {
	program := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(program, []byte("code"), 0o600); err != nil {
		t.Fatal(err)
	}
	i := image{name: "localhost/x:1", files: map[string]string{"bin/x": program}, links: map[string]string{"bin/y": "x"}}
	var archive bytes.Buffer
	if err := i.write(&archive); err != nil {
		t.Fatal(err)
	}
	var layers int
	files := unpack(t, &archive)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if path.Dir(name) != "blobs/sha256" {
			continue
		}
		if sum := sha256.Sum256([]byte(files[name])); hex.EncodeToString(sum[:]) != path.Base(name) {
			t.Errorf("%s has another digest", name)
		}
		if files[name][0] == '{' {
			continue
		}
		layers++
		if diff := cmp.Diff(map[string]string{"bin/x": "code", "bin/y": "x"}, unpack(t, bytes.NewReader([]byte(files[name])))); diff != "" {
			t.Errorf("layer (-want +got):\n%s", diff)
		}
	}
	if layers != 1 || files["oci-layout"] == "" || !bytes.Contains([]byte(files["index.json"]), []byte(i.name)) {
		t.Errorf("%d layers, index %s", layers, files["index.json"])
	}
}

func TestImageOfWhatIsMissing(t *testing.T) {
	i := image{name: "localhost/x:1", files: map[string]string{"bin/x": filepath.Join(t.TempDir(), "nothing")}}
	if err := i.write(io.Discard); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("err = %v", err)
	}
}

func TestLibraries(t *testing.T) {
	const said = "\tlinux-vdso.so.1 (0x00007f0242991000)\n" +
		"\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f0242890000)\n" +
		"\t/lib64/ld-linux-x86-64.so.2 (0x00007f0242993000)\n"
	if diff := cmp.Diff([]string{"/lib/x86_64-linux-gnu/libm.so.6", "/lib64/ld-linux-x86-64.so.2"}, namedLibraries(said)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
