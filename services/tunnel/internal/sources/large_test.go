package sources

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/syncspec"
)

// generated is an archive of many files, of which each hundredth is a manifest.
func generated(t testing.TB, files, size int, text string) []byte {
	t.Helper()
	var buf bytes.Buffer
	z, err := gzip.NewWriterLevel(&buf, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(z)
	content := strings.Repeat(text, size/len(text)+1)[:size]
	for i := range files {
		name := fmt.Sprintf("shop-1/src/%03d/file-%d.go", i/100, i)
		if i%100 == 0 {
			name = fmt.Sprintf("shop-1/k8s/%03d/file-%d.yaml", i/100, i)
		}
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(size), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	_ = z.Close()
	return buf.Bytes()
}

func TestARepositoryOf50000Files(t *testing.T) {
	archive := generated(t, 50_000, 300, "some text of a file ")
	files, err := Choose(globs("k8s/**/*.yaml"), archive)
	if err != nil || len(files) != 500 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	bundle, err := syncspec.Pack(files)
	if err != nil || len(bundle) > 1<<20 {
		t.Errorf("a bundle of %d bytes, %v", len(bundle), err)
	}
	for want, m := range map[string]agentconfig.Manifests{
		"more than 1000 files are chosen; narrow the globs, or divide the entry":              globs("**/*"),
		"more than 1000 files are chosen; name those that the build needs in kustomize.files": {Kustomize: "k8s"},
	} {
		if _, err := Choose(m, archive); err == nil || err.Error() != want {
			t.Errorf("%+v: %v", m, err)
		}
	}
	if files, err := Choose(agentconfig.Manifests{Kustomize: "k8s", Globs: []string{"k8s/**"}}, archive); err != nil || len(files) != 500 {
		t.Errorf("a build of a part: %d files, %v", len(files), err)
	}
	if _, err := Choose(globs("none/*"), generated(t, maxEntries+1, 1, "x")); err == nil || err.Error() != "the repository has more than 200000 files and directories" {
		t.Errorf("too many: %v", err)
	}
}

func Test20MiBOfManifests(t *testing.T) {
	large := func(last int) []byte {
		var all []archived
		for i := range 3 {
			all = append(all, archived{name: fmt.Sprintf("%d.yaml", i), content: strings.Repeat("x", syncspec.MaxFileBytes)})
		}
		return pack(t, append(all, archived{name: "last.yaml", content: strings.Repeat("x", last)})...)
	}
	files, err := Choose(globs("*.yaml"), large(syncspec.MaxFileBytes))
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := syncspec.Pack(files)
	if err != nil {
		t.Fatal(err)
	}
	if back, err := syncspec.Unpack(bundle); err != nil || len(back) != len(files) {
		t.Errorf("%d files, %v", len(back), err)
	}
	five := append(files[:len(files):len(files)], syncspec.File{Path: "more.yaml", Content: []byte("x")})
	var over []archived
	for _, f := range five {
		over = append(over, archived{name: f.Path, content: string(f.Content)})
	}
	if _, err := Choose(globs("*.yaml"), pack(t, over...)); err == nil || err.Error() != "the files that are chosen have more than 20971520 bytes together; narrow the globs, or divide the entry" {
		t.Error(err)
	}
}

func TestArchivesThatGrowAreStopped(t *testing.T) {
	zeros := bytes.NewReader(make([]byte, 100))
	if n, err := io.Copy(io.Discard, &upTo{r: zeros, left: 60}); n != 60 || err == nil || err.Error() != "it unpacks to more than 2147483648 bytes" {
		t.Errorf("%d, %v", n, err)
	}
}

// BenchmarkChoose is what choosing files costs: time, and the memory that is
// held at its end beside the archive.
func BenchmarkChoose(b *testing.B) {
	for name, tt := range map[string]struct {
		files, size int
		globs       []string
	}{
		"50000-files": {50_000, 300, []string{"k8s/**/*.yaml"}},
		"20-MiB":      {400, 5<<20 - 1, []string{"k8s/**/*.yaml"}},
	} {
		b.Run(name, func(b *testing.B) {
			archive := generated(b, tt.files, tt.size, "some text of a file ")
			b.ReportAllocs()
			b.SetBytes(int64(tt.files * tt.size))
			var held uint64
			for b.Loop() {
				runtime.GC()
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				files, err := Choose(globs(tt.globs...), archive)
				if err != nil || len(files) != tt.files/100 {
					b.Fatalf("%d files, %v", len(files), err)
				}
				runtime.GC()
				runtime.ReadMemStats(&after)
				held = max(held, after.HeapAlloc-min(before.HeapAlloc, after.HeapAlloc))
				runtime.KeepAlive(files)
			}
			b.ReportMetric(float64(held)/(1<<20), "held-MiB")
		})
	}
}
