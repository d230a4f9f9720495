package sources

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/syncspec"
)

type archived struct{ name, content, link string }

func pack(t testing.TB, files ...archived) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	w := tar.NewWriter(z)
	for _, f := range files {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: "shop-1/" + f.name, Size: int64(len(f.content)), Mode: 0o644}
		if f.link != "" {
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, f.link, 0
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		_, _ = w.Write([]byte(f.content))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	_ = z.Close()
	return buf.Bytes()
}

func globs(g ...string) agentconfig.Manifests { return agentconfig.Manifests{Globs: g} }

func TestGlobsChooseAsTheyDidInGitLabsAgent(t *testing.T) {
	all := []archived{{name: "root.yaml"}, {name: "a/one.yaml"}, {name: "a/b/two.yml"}, {name: "a/b/x.json"}, {name: ".hidden/no.yaml"}, {name: "a/.h/no.yaml"}, {name: "a/.dot.yaml"}, {name: "README.md"}}
	for glob, want := range map[string][]string{
		agentconfig.DefaultGlob: {"root.yaml", "a/one.yaml", "a/b/two.yml", "a/b/x.json", "a/.dot.yaml"},
		"**/*.yaml":             {"root.yaml", "a/one.yaml", "a/.dot.yaml"},
		"**.yaml":               {"root.yaml"},
		"a/*.yaml":              {"a/one.yaml", "a/.dot.yaml"},
		"a/**":                  {"a/one.yaml", "a/b/two.yml", "a/b/x.json", "a/.dot.yaml"},
		"README.*":              {"README.md"},
	} {
		files, err := Choose(globs(glob), pack(t, all...))
		var got []string
		for _, f := range files {
			got = append(got, f.Path)
		}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", glob, err, diff)
		}
	}
}

// TestALargeRepository: what is not chosen costs nothing but reading, and more
// than anybody has is refused.
func TestALargeRepository(t *testing.T) {
	files := make([]archived, 50_000)
	for n := range files {
		files[n] = archived{name: fmt.Sprintf("src/%03d/%03d.go", n/100, n%100), content: "package src\n"}
	}
	files[40_000] = archived{name: "k8s/shop.yaml", content: "kind: ConfigMap\n"}
	archive := pack(t, files...)
	chosen, err := Choose(globs("k8s/**/*.yaml"), archive)
	if want := []syncspec.File{{Path: "k8s/shop.yaml", Content: []byte("kind: ConfigMap\n")}}; err != nil || !cmp.Equal(want, chosen) {
		t.Errorf("%v, %v", chosen, err)
	}
	if _, err := Choose(globs("**/*.go"), archive); err == nil || !strings.HasPrefix(err.Error(), "more than 1000 files are chosen") {
		t.Errorf("all of them: %v", err)
	}
	for len(files) <= maxEntries {
		files = append(files, files[:min(len(files), maxEntries+1-len(files))]...)
	}
	if _, err := Choose(globs("none/*"), pack(t, files...)); err == nil || !strings.HasPrefix(err.Error(), "the repository has more than 200000 files") {
		t.Errorf("too many: %v", err)
	}
}

func TestDirectoriesThatAreFetched(t *testing.T) {
	for want, g := range map[string][]string{"": {"a/*.yaml", "*.yaml"}, "a/b": {"a/b/*.yaml", "a/b/c/**"}, "a": {"a/b/*.yaml", "a/c/*.yaml", "a/bc/x.yaml"}, "k8s": {"k8s/**/*.yaml"}} {
		if got := Directory(globs(g...)); got != want {
			t.Errorf("%v: %q, want %q", g, got, want)
		}
	}
	if got := Directory(agentconfig.Manifests{Kustomize: "deploy/a", Globs: []string{"deploy/**"}}); got != "deploy" {
		t.Errorf("kustomize with files: %q", got)
	}
	if got := Directory(agentconfig.Manifests{Kustomize: "deploy"}); got != "" {
		t.Errorf("kustomize: %q", got)
	}
}

func TestWhatCannotBeChosen(t *testing.T) {
	many := make([]archived, syncspec.MaxFiles+1)
	for i := range many {
		many[i].name = strings.Repeat("x", i+1) + ".yaml"
		if i > 200 {
			many[i].name = strings.Repeat("y", i%200+1) + strings.Repeat("z", i/200) + ".yaml"
		}
	}
	for name, tt := range map[string]struct {
		globs []string
		files []archived
		want  string
	}{
		"link":      {[]string{"*.yaml"}, []archived{{name: "a.yaml", link: "/etc/passwd"}}, "a.yaml is a symbolic link"},
		"above":     {[]string{"**"}, []archived{{name: "../../a.yaml"}}, "not a path inside a repository"},
		"two globs": {[]string{"*.yaml", "a.*"}, []archived{{name: "a.yaml"}}, "a.yaml is chosen by two globs, *.yaml and a.*"},
		"twice":     {[]string{"*.yaml"}, []archived{{name: "a.yaml"}, {name: "a.yaml"}}, "in the archive twice"},
		"none":      {[]string{"*.yaml", "b/*"}, []archived{{name: "c/a.yaml"}}, "no file matches *.yaml, b/*; nothing was changed"},
		"large":     {[]string{"*"}, []archived{{name: "a", content: strings.Repeat("x", syncspec.MaxFileBytes+1)}}, "the limit for one file"},
		"many":      {[]string{"*"}, many, "more than 1000 files"},
	} {
		files, err := Choose(globs(tt.globs...), pack(t, tt.files...))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %d files, %v", name, len(files), err)
		}
	}
	if _, err := Choose(globs("*"), []byte("<html>")); err == nil {
		t.Error("no archive was accepted")
	}
}

func TestKustomizeTakesTheWholeRepository(t *testing.T) {
	files, err := Choose(agentconfig.Manifests{Kustomize: "deploy"}, pack(t, archived{name: "deploy/kustomization.yaml"}, archived{name: "base/.env"}, archived{name: "x", link: "y"}))
	if err != nil || len(files) != 2 {
		t.Errorf("%v, %v", files, err)
	}
}

func FuzzChoose(f *testing.F) {
	f.Add(pack(f, archived{name: "a.yaml", content: "a: 1"}))
	f.Fuzz(func(t *testing.T, in []byte) {
		files, err := Choose(globs("**"), in)
		for _, file := range files {
			if err == nil && !syncspec.Clean(file.Path) {
				t.Errorf("accepted %q", file.Path)
			}
		}
	})
}
