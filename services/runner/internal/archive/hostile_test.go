package archive

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// entry is one entry of an archive that no packer of ours would make.
type entry struct {
	name, content string
	mode          fs.FileMode
	kind          byte // tar only
}

func zipOf(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	zw := zip.NewWriter(&b)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		h.SetMode(e.mode)
		w, err := zw.CreateHeader(h)
		must(t, err)
		_, err = w.Write([]byte(e.content))
		must(t, err)
	}
	must(t, zw.Close())
	return b.Bytes()
}

func tarOf(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	zw, err := zstd.NewWriter(&b)
	must(t, err)
	tw := tar.NewWriter(zw)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: int64(e.mode.Perm()), Typeflag: e.kind, Format: tar.FormatPAX}
		if e.mode&fs.ModeSetuid != 0 {
			h.Mode |= 0o4000
		}
		content := e.content
		switch {
		case e.kind == tar.TypeLink || e.mode.Type() == fs.ModeSymlink:
			h.Linkname, content = e.content, ""
			if e.kind == 0 {
				h.Typeflag = tar.TypeSymlink
			}
		case e.mode.IsDir():
			h.Typeflag = tar.TypeDir
		case e.kind == 0:
			h.Typeflag = tar.TypeReg
		}
		h.Size = int64(len(content))
		must(t, tw.WriteHeader(h))
		_, err := tw.Write([]byte(content))
		must(t, err)
	}
	must(t, tw.Close())
	must(t, zw.Close())
	return b.Bytes()
}

func extract(t testing.TB, ctx context.Context, b []byte, root *os.Root, limits Limits) (string, error) {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "")
	must(t, err)
	defer f.Close()
	_, err = f.Write(b)
	must(t, err)
	log := &testLog{}
	return log.String(), errors.Join(Extract(ctx, f, root, limits, log), logged(log))
}

// logged turns warnings into an error, so that one look covers both.
func logged(l *testLog) error {
	if l.Len() == 0 {
		return nil
	}
	return errors.New(l.String())
}

func TestHostileArchives(t *testing.T) {
	const link = fs.ModeSymlink | 0o777
	tests := map[string]struct {
		entries []entry
		want    string
		tarOnly bool
	}{
		"dot dot":              {[]entry{{name: "../evil", content: "x", mode: 0o644}}, "leads outside of the project directory", false},
		"dot dot inside":       {[]entry{{name: "a/../../evil", content: "x", mode: 0o644}}, "leads outside of the project directory", false},
		"absolute":             {[]entry{{name: "/tmp/evil", content: "x", mode: 0o644}}, "leads outside of the project directory", false},
		"long name":            {[]entry{{name: strings.Repeat("x", 300), mode: 0o644}}, "a name of more than 255 bytes", false},
		"deep name":            {[]entry{{name: strings.Repeat("x/", 200) + "y", mode: 0o644}}, "too deep", false},
		"link outside":         {[]entry{{name: "l", content: "/etc", mode: link}}, "leads outside", false},
		"relative link":        {[]entry{{name: "a/l", content: "../../etc", mode: link}}, "leads outside", false},
		"write through a link": {[]entry{{name: "l", content: "/etc", mode: link}, {name: "l/evil", content: "x", mode: 0o644}}, "leads outside", false},
		"links that add up": {[]entry{
			{name: "a/b/f", content: "x", mode: 0o644}, {name: "a/b/l", content: "../..", mode: link}, {name: "m", content: "a/b/l/../x", mode: link},
		}, `"m" is a link that leads outside`, false},
		"file over directory": {[]entry{{name: "d/f", mode: 0o644}, {name: "d", content: "x", mode: 0o644}}, "is a directory in the project", false},
		"hard link":           {[]entry{{name: "h", content: "existing", kind: tar.TypeLink}}, "a hard link, which are not accepted", true},
		"device":              {[]entry{{name: "dev", kind: tar.TypeBlock}}, "is a device", true},
		"pipe":                {[]entry{{name: "pipe", kind: tar.TypeFifo}}, "is a device", true},
		"git":                 {[]entry{{name: ".git/config", mode: 0o644}}, "Part of .git directory is on the list of files to extract", false},
		"empty link":          {[]entry{{name: "l", content: "", mode: link}}, "no usable link target", false},
	}
	for name, tt := range tests {
		for format, make := range map[string]func(testing.TB, ...entry) []byte{"zip": zipOf, "tar": tarOf} {
			if format == "zip" && tt.tarOnly {
				continue
			}
			t.Run(format+" "+name, func(t *testing.T) {
				dir, root := project(t, map[string]string{"project/existing": "old"})
				inner, err := root.OpenRoot("project")
				must(t, err)
				defer inner.Close()
				_, err = extract(t, t.Context(), make(t, tt.entries...), inner, DownloadLimits)
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error %v, want %q", err, tt.want)
				}
				got := tree(t, dir)
				for path := range got {
					if !strings.HasPrefix(path, "project/") {
						t.Errorf("%s was written outside", path)
					}
				}
				for _, l := range []string{"project/l", "project/m", "project/a/l"} {
					if strings.HasPrefix(got[l], "-> ") {
						t.Errorf("link %s %s remains", l, got[l])
					}
				}
			})
		}
	}
}

func TestModesAndRepetitions(t *testing.T) {
	for format, b := range map[string][]byte{
		"zip": zipOf(t, entry{"a", "first", 0o644, 0}, entry{"a", "second", 0o755 | fs.ModeSetuid, 0}, entry{"A", "other", 0, 0}, entry{"d/", "", fs.ModeDir, 0}, entry{"d/f", "in", 0o600, 0}),
		"tar": tarOf(t, entry{"a", "first", 0o644, 0}, entry{"a", "second", 0o755 | fs.ModeSetuid, 0}, entry{"A", "other", 0, 0}, entry{"d/", "", fs.ModeDir, 0}, entry{"d/f", "in", 0o600, 0}),
	} {
		dir, root := project(t, map[string]string{"hard": "hard"})
		must(t, os.Link(filepath.Join(dir, "hard"), filepath.Join(dir, "a")))
		if _, err := extract(t, t.Context(), b, root, DownloadLimits); err != nil {
			t.Errorf("%s: %v", format, err)
		}
		got := tree(t, dir)
		if got["a"] != "-rwxr-xr-x second" || got["A"] != "-rw------- other" || got["d/f"] != "-rw------- in" || got["hard"] != "-rw-r--r-- hard" {
			t.Errorf("%s: %v", format, got)
		}
	}
}

func TestBombs(t *testing.T) {
	many := make([]entry, 30)
	for i := range many {
		many[i] = entry{name: "f", mode: 0o644}
	}
	zeros := entry{name: "zeros", content: strings.Repeat("\x00", 1<<20), mode: 0o644}
	limits := Limits{Content: 1 << 20, Archive: 1 << 20, Entries: 20}
	for name, tt := range map[string]struct {
		archive []byte
		limits  Limits
		want    string
	}{
		"entries in zip": {zipOf(t, many...), limits, "more than 20 entries"},
		"entries in tar": {tarOf(t, many...), limits, "more than 20 entries"},
		"content of zip": {zipOf(t, zeros, entry{name: "one", content: "x", mode: 0o644}), limits, "files of the archive are larger than 1.0 MiB"},
		"content of tar": {tarOf(t, zeros, entry{name: "one", content: "x", mode: 0o644}), limits, "files of the archive are larger than 1.0 MiB"},
		"too large":      {zipOf(t, zeros), Limits{Archive: 10}, "is larger than 10 bytes"},
		"ratio":          {ratioBomb(t), DownloadLimits, "more than 200 times its size"},
		"no archive":     {[]byte("<html>"), limits, "not a zip, gzip or tar.zst"},
		"empty":          {nil, limits, "not a zip, gzip or tar.zst"},
		"cut zip":        {zipOf(t, zeros)[:100], limits, "not a zip"},
		"cut tar":        {tarOf(t, zeros)[:30], limits, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			_, root := project(t, nil)
			if _, err := extract(t, t.Context(), tt.archive, root, tt.limits); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %s", err, tt.want)
			}
		})
	}
}

// ratioBomb is a tar.zst of a gigabyte of nothing.
func ratioBomb(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	zw, err := zstd.NewWriter(&b, zstd.WithEncoderLevel(zstd.SpeedFastest))
	must(t, err)
	tw := tar.NewWriter(zw)
	const chunk, chunks = 1 << 20, 300
	must(t, tw.WriteHeader(&tar.Header{Name: "zeros", Typeflag: tar.TypeReg, Size: chunk * chunks}))
	zeros := make([]byte, chunk)
	for range chunks {
		_, err := tw.Write(zeros)
		must(t, err)
	}
	must(t, tw.Close())
	must(t, zw.Close())
	return b.Bytes()
}

func TestExtractEndsWithItsContext(t *testing.T) {
	gone := errors.New("gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(gone)
	_, root := project(t, nil)
	for _, b := range [][]byte{zipOf(t, entry{name: "a"}), tarOf(t, entry{name: "a"})} {
		if _, err := extract(t, ctx, b, root, DownloadLimits); !errors.Is(err, gone) {
			t.Errorf("error %v", err)
		}
	}
}
