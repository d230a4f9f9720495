package sources

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
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
	z, err := gzip.NewWriterLevel(&buf, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
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
