package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// links has a link, and a file to be written by way of it.
func links(name, target string) []entry {
	return []entry{{name: name, content: target, mode: fs.ModeSymlink | 0o777}, {name: name + "/f", content: "x", mode: 0o644}}
}

// FuzzZip looks for zip archives that write outside, hang or crash.
func FuzzZip(f *testing.F) {
	f.Add(zipOf(f))
	f.Add(zipOf(f, entry{"a/b", "x", 0o644, 0}, entry{"l", "a", fs.ModeSymlink, 0}, entry{"d/", "", fs.ModeDir | 0o111, 0}, entry{"d/f", "y", 0o4755, 0}))
	f.Add(zipOf(f, entry{"../c", "y", 0o644, 0}))
	f.Add(zipOf(f, links("l", "..")...))
	f.Add(zipOf(f, links("a/l", "../x")...))
	f.Add(zipOf(f, entry{"pipe", "", fs.ModeNamedPipe, 0}, entry{"dev", "", fs.ModeDevice, 0}))
	f.Fuzz(func(t *testing.T, b []byte) { hostile(t, b) })
}

// FuzzGzip looks for gzip archives that write outside, hang or crash.
func FuzzGzip(f *testing.F) {
	var all []byte
	for _, name := range []string{"name", "../up", "/abs", ".", "", "dä/x"} {
		var b bytes.Buffer
		zw := gzip.NewWriter(&b)
		zw.Name = name
		_, _ = zw.Write([]byte("content of " + name))
		must(f, zw.Close())
		f.Add(b.Bytes())
		all = append(all, b.Bytes()...)
	}
	f.Add(all)
	f.Fuzz(func(t *testing.T, b []byte) {
		hostile(t, append(bytes.Clone(magicGzip), bytes.TrimPrefix(b, magicGzip)...))
	})
}

// FuzzTar looks for tar archives that write outside, hang or crash. The fuzzed
// bytes are the tar's: changes of the packed ones would rarely get that far.
func FuzzTar(f *testing.F) {
	for _, entries := range [][]entry{
		{},
		{{"a/b", "x", 0o644, 0}, {"l", "a", fs.ModeSymlink, 0}, {"h", "a/b", 0, tar.TypeLink}, {"d", "", fs.ModeDir | 0o111, 0}, {"d/f", "y", 0o4755, 0}},
		{{"../c", "y", 0o644, 0}},
		{{name: "dev", kind: tar.TypeBlock}, {name: "pipe", kind: tar.TypeFifo}},
		links("l", ".."), links("a/l", "../x"),
	} {
		zr, err := zstd.NewReader(nil)
		must(f, err)
		b, err := zr.DecodeAll(tarOf(f, entries...), nil)
		must(f, err)
		zr.Close()
		f.Add(b)
	}
	zw, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(1<<20))
	must(f, err)
	f.Fuzz(func(t *testing.T, b []byte) { hostile(t, zw.EncodeAll(b, nil)) })
}

// FuzzZstd looks for packed streams that hang or crash.
func FuzzZstd(f *testing.F) {
	f.Add(tarOf(f, entry{"a/b", "x", 0o644, 0}))
	f.Add(bytes.Clone(magicZstd))
	f.Fuzz(func(t *testing.T, b []byte) {
		hostile(t, append(bytes.Clone(magicZstd), bytes.TrimPrefix(b, magicZstd)...))
	})
}

// hostile unpacks b and looks at what is there then.
func hostile(t *testing.T, b []byte) {
	dir, root := project(t, map[string]string{"project/x": "x", "outside": "o"})
	inner, err := root.OpenRoot("project")
	must(t, err)
	defer inner.Close()
	limits := Limits{Content: 1 << 20, Archive: 1 << 20, Entries: 100}
	_, _ = extract(t, t.Context(), b, inner, limits)
	entries, err := os.ReadDir(dir)
	must(t, err)
	if outside, err := os.ReadFile(filepath.Join(dir, "outside")); len(entries) != 2 || err != nil || string(outside) != "o" {
		t.Errorf("written outside: %v", entries)
	}
	var files, size int64
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err // a directory that the job itself could not remove
		}
		info, err := d.Info()
		must(t, err)
		if info.Mode()&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky|fs.ModeDevice|fs.ModeNamedPipe|fs.ModeSocket) != 0 {
			t.Errorf("%s has mode %s", path, info.Mode())
		}
		if info.Mode().IsRegular() {
			files, size = files+1, size+info.Size()
		}
		if info.Mode().Type() == fs.ModeSymlink {
			if to, err := filepath.EvalSymlinks(path); err == nil && !strings.HasPrefix(to, filepath.Join(dir, "project")) {
				t.Errorf("%s leads to %s", path, to)
			}
		}
		return nil
	}))
	if files > int64(limits.Entries)+2 || size > limits.Content+2*(32<<10) {
		t.Errorf("%d files of %d bytes are there", files, size)
	}
}

// FuzzSelect looks for patterns that reach outside or take for ever.
func FuzzSelect(f *testing.F) {
	for _, p := range []string{"**/*", "{a,b}/**", "[a-", "../..", "/etc/*", `\*`, "**/**/**/x", "{a,{b,{c,d}}}*", "out/../../x"} {
		f.Add(p, "*.x")
	}
	dir, root := project(f, map[string]string{"a/b/c": "1", "a/b/d": "2", "e": "3", "l": "-> /etc"})
	f.Fuzz(func(t *testing.T, pattern, exclude string) {
		files, err := Select(t.Context(), root, dir, Rules{Paths: []string{pattern}, Exclude: []string{exclude}}, UploadLimits, &testLog{})
		must(t, err)
		for _, file := range files {
			if !filepath.IsLocal(file.Name) || strings.HasPrefix(file.Name, "l/") {
				t.Errorf("%q selected %q", pattern, file.Name)
			}
		}
	})
}
