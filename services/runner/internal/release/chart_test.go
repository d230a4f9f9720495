package release

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const minimalChart = "apiVersion: v2\nname: web\nversion: 1.2.3\n"

// files makes a directory of files.
func files(t testing.TB, texts map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range texts {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// pack makes a packed chart; names are complete.
func pack(t testing.TB, texts map[string]string) []byte {
	t.Helper()
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	archive := tar.NewWriter(zipped)
	for _, name := range slices.Sorted(maps.Keys(texts)) { // the same archive of the same files
		text := texts[name]
		if err := archive.WriteHeader(&tar.Header{Name: name, Size: int64(len(text)), Mode: 0o600, Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(archive.Close(), zipped.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func names(c chartFiles) []string {
	var out []string
	for _, f := range c.sorted() {
		out = append(out, f.Name)
	}
	return out
}

func TestDirectories(t *testing.T) {
	root := files(t, map[string]string{
		"apps/web/Chart.yaml": minimalChart, "apps/web/values.yaml": "a: 1", "apps/web/templates/a.yaml": "a: 1",
		"apps/web/.helmignore": "*.bak\n/doc/\n", "apps/web/old.bak": "x", "apps/web/doc/a.md": "x", "apps/web/templates/.keep": "",
		"shared/templates/_names.tpl": "{{/* x */}}", "secret": "x",
	})
	if err := os.Symlink("../../../shared/templates/_names.tpl", filepath.Join(root, "apps/web/templates/_names.tpl")); err != nil {
		t.Fatal(err)
	}
	got, err := readDirectory(&Directory{Root: root, Path: "apps/web"})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{".helmignore", "Chart.yaml", "templates/_names.tpl", "templates/a.yaml", "values.yaml"}
	if diff := cmp.Diff(want, names(got)); diff != "" {
		t.Error(diff)
	}
	if ch, err := got.load(); err != nil || ch.Name() != "web" {
		t.Error(ch, err)
	}
	// The same chart as one of its own is the same content.
	alone, err := readDirectory(&Directory{Root: root, Path: "/apps/./web/"})
	if err != nil || !slices.Equal(names(alone), names(got)) {
		t.Error(alone, err)
	}
}

func TestHostileDirectories(t *testing.T) {
	outside := files(t, map[string]string{"token": "x"})
	for name, tt := range map[string]struct {
		links map[string]string
		files map[string]string
		path  string
		want  string
	}{
		"no chart":          {files: map[string]string{"a": ""}, want: "there is no Chart.yaml"},
		"outside":           {files: map[string]string{"Chart.yaml": minimalChart}, path: "..", want: "escapes"},
		"a link out":        {files: map[string]string{"Chart.yaml": minimalChart}, links: map[string]string{"a": outside + "/token"}, want: "escapes"},
		"a directory out":   {files: map[string]string{"Chart.yaml": minimalChart}, links: map[string]string{"templates": outside}, want: "escapes"},
		"a circle":          {files: map[string]string{"Chart.yaml": minimalChart}, links: map[string]string{"a": "."}, want: "too many levels"},
		"a link to nothing": {files: map[string]string{"Chart.yaml": minimalChart}, links: map[string]string{"a": "b"}, want: "a: no such file"},
		"a large file":      {files: map[string]string{"Chart.yaml": minimalChart, "a": strings.Repeat("x", maxChartFile+1)}, want: "limit exceeded"},
		"large files": {files: map[string]string{
			"Chart.yaml": minimalChart, "a": strings.Repeat("x", maxChartFile), "b": strings.Repeat("x", maxChartFile), "c": strings.Repeat("x", maxChartFile),
			"d": strings.Repeat("x", maxChartFile), "e": strings.Repeat("x", maxChartFile), "f": strings.Repeat("x", maxChartFile), "g": strings.Repeat("x", maxChartFile),
		}, want: "limit exceeded"},
		"a library":      {files: map[string]string{"Chart.yaml": minimalChart + "type: library\n"}, want: "cannot be installed"},
		"no dependency":  {files: map[string]string{"Chart.yaml": minimalChart + "dependencies: [{name: db, version: 1, repository: x}]\n"}, want: "commit the charts directory"},
		"a bad name":     {files: map[string]string{"Chart.yaml": "apiVersion: v2\nname: ../web\nversion: 1.2.3\n"}, want: "invalid"},
		"a packed bomb":  {files: map[string]string{"Chart.yaml": minimalChart, "charts/b.tgz": string(bomb(t))}, want: "limit exceeded"},
		"a packed trick": {files: map[string]string{"Chart.yaml": minimalChart, "charts/b.tgz": string(pack(t, map[string]string{"b/../../x": ""}))}, want: "not inside"},
	} {
		t.Run(name, func(t *testing.T) {
			root := files(t, tt.files)
			for link, target := range tt.links {
				if err := os.Symlink(target, filepath.Join(root, link)); err != nil {
					t.Fatal(err)
				}
			}
			got, err := readDirectory(&Directory{Root: root, Path: tt.path})
			if err == nil {
				_, err = got.load()
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), root) {
				t.Errorf("error %v, want %q without the place", err, tt.want)
			}
		})
	}
}

// bomb is small, and too large unpacked.
func bomb(t testing.TB) []byte {
	texts := map[string]string{"b/Chart.yaml": minimalChart}
	for i := range 8 {
		texts["b/"+strings.Repeat("x", i+1)] = strings.Repeat(" ", maxChartFile)
	}
	return pack(t, texts)
}

func TestArchives(t *testing.T) {
	got, err := unpack(bytes.NewReader(pack(t, map[string]string{"web/Chart.yaml": minimalChart, `web\templates\a.yaml`: "a: 1"})), maxChartBytes)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"Chart.yaml", "templates/a.yaml"}, names(got)); diff != "" {
		t.Error(diff)
	}
	many := map[string]string{}
	for i := range maxChartFiles + 1 {
		many["web/"+strings.Repeat("d/", i%50)+string(rune('a'+i%26))+strings.Repeat("x", i/50)] = ""
	}
	for name, tt := range map[string]struct {
		packed []byte
		want   string
	}{
		"no archive": {[]byte("hello"), "not a packed chart"},
		"empty":      {pack(t, nil), "no files"},
		"bomb":       {bomb(t), "limit exceeded"},
		"many files": {pack(t, many), "limit exceeded"},
		"large file": {pack(t, map[string]string{"web/a": strings.Repeat(" ", maxChartFile+1)}), "limit exceeded"},
		"absolute":   {pack(t, map[string]string{"/etc/passwd": ""}), "not inside"},
		"above":      {pack(t, map[string]string{"web/../../x": ""}), "not inside"},
		"no folder":  {pack(t, map[string]string{"Chart.yaml": ""}), "not inside"},
		"drive":      {pack(t, map[string]string{"web/c:/x": ""}), "not inside"},
		"cut short":  {bomb(t)[:100], "EOF"},
	} {
		if _, err := unpack(bytes.NewReader(tt.packed), maxChartBytes); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %q", name, err, tt.want)
		}
	}
}

func TestDigest(t *testing.T) {
	of := func(texts map[string]string, values map[string]any, patches ...Patch) string {
		got, err := readDirectory(&Directory{Root: files(t, texts)})
		if err != nil {
			t.Fatal(err)
		}
		d, err := digest(got, values, patches)
		if err != nil || len(d) != digestLength {
			t.Fatal(d, err)
		}
		return d
	}
	chart := map[string]string{"Chart.yaml": minimalChart, "templates/a.yaml": "a: 1"}
	values := map[string]any{"a": map[string]any{"b": 1.0, "c": "x"}}
	same := of(chart, values)
	if again := of(chart, map[string]any{"a": map[string]any{"c": "x", "b": 1}}); again != same {
		t.Error("the digest of the same content differs")
	}
	for name, other := range map[string]string{
		"file":   of(map[string]string{"Chart.yaml": minimalChart, "templates/a.yaml": "a: 2"}, values),
		"name":   of(map[string]string{"Chart.yaml": minimalChart, "templates/b.yaml": "a: 1"}, values),
		"values": of(chart, map[string]any{"a": 1}),
		"patch":  of(chart, values, Patch{Patch: "x"}),
	} {
		if other == same {
			t.Errorf("another %s does not change the digest", name)
		}
	}
}

// FuzzUnpack: whatever a repository sends, the names of files stay inside the
// chart and the limits hold.
func FuzzUnpack(f *testing.F) {
	f.Add(pack(f, map[string]string{"web/Chart.yaml": minimalChart, "web/charts/db.tgz": "x"}))
	f.Add(pack(f, map[string]string{"web/../x": "", "/x": ""}))
	f.Fuzz(func(t *testing.T, packed []byte) {
		got, err := unpack(bytes.NewReader(packed), 1<<20)
		if err != nil {
			return
		}
		total := 0
		for _, file := range got {
			total += len(file.Data)
			if !filepath.IsLocal(file.Name) {
				t.Errorf("the name %q leads out", file.Name)
			}
		}
		if total > 1<<20 {
			t.Errorf("%d bytes", total)
		}
		_, _ = got.load()
	})
}
