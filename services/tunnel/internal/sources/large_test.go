package sources

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
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
	archive := generated(t, 50_000, 0, "x")
	files, err := Choose(globs("k8s/**/*.yaml"), archive)
	if err != nil || len(files) != 500 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for want, m := range map[string]agentconfig.Manifests{
		"more than 1000 files are chosen; narrow the globs, or divide the entry":              globs("**/*"),
		"more than 1000 files are chosen; name those that the build needs in kustomize.files": {Kustomize: "k8s"},
	} {
		if _, err := Choose(m, archive); err == nil || err.Error() != want {
			t.Errorf("%+v: %v", m, err)
		}
	}
}

func Test20MiBOfManifests(t *testing.T) {
	all := []archived{{name: "more.yaml", content: "x"}}
	for i := range syncspec.MaxBytes / syncspec.MaxFileBytes {
		all = append(all, archived{name: fmt.Sprintf("%d.yaml", i), content: strings.Repeat("x", syncspec.MaxFileBytes)})
	}
	archive := pack(t, all...)
	files, err := Choose(globs("[0-9].yaml"), archive)
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := syncspec.Pack(files)
	if err != nil {
		t.Fatal(err)
	}
	if back, err := syncspec.Unpack(bundle); err != nil || len(back) != len(all)-1 {
		t.Errorf("%d files, %v", len(back), err)
	}
	if _, err := Choose(globs("*.yaml"), archive); err == nil || err.Error() != "the files that are chosen have more than 20971520 bytes together; narrow the globs, or divide the entry" {
		t.Error(err)
	}
}

func TestArchivesThatGrowAreStopped(t *testing.T) {
	archive := generated(t, 200, 100, "x")
	for want, most := range map[string]limits{"it unpacks to more than 60000 bytes": {200, 60_000}, "the repository has more than 199 files and directories": {199, 1 << 20}} {
		if _, err := choose(globs("none/*"), archive, most); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if files, err := choose(globs("k8s/**"), archive, limits{200, 1 << 20}); err != nil || len(files) != 2 {
		t.Errorf("%d files, %v", len(files), err)
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
