package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"

	"github.com/towline/towline/tools/internal/repository"
)

const sample = `# comment
go 1.26.0
k8s.io/* v0.37.2 # all
k8s.io/klog/v2 v2.140.0
example.com/both v1.1.0
`

func module(t *testing.T, dir, text string) repository.Module {
	t.Helper()
	f, err := modfile.Parse(dir+"/go.mod", []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	return repository.Module{Dir: dir, File: f}
}

func TestCompareAndAlign(t *testing.T) {
	want, err := parse(sample)
	if err != nil {
		t.Fatal(err)
	}
	modules := []repository.Module{
		module(t, "a", `module a
go 1.25.0
require (
	example.com/alone v1.0.0
	example.com/both v1.0.0
	example.com/unlisted v1.0.0
	github.com/towline/towline/pkg v0.0.0
	k8s.io/api v0.36.0
	k8s.io/klog/v2 v2.140.0
	k8s.io/utils v0.0.0-20260626114624-be93311217bd // indirect
)
replace k8s.io/client-go => k8s.io/client-go v0.36.0
replace github.com/towline/towline/pkg => ../pkg
`),
		module(t, "b", `module b
go 1.26.0
require (
	example.com/both v1.1.0
	example.com/unlisted v1.0.0
	github.com/towline/towline/pkg v0.0.0
)
`),
		module(t, "outside", "module outside\ngo 1.26.0\nrequire (\n\texample.com/both v1.0.1\n\texample.com/unlisted v1.2.0\n)\n"),
	}
	together := func(dir string) bool { return dir != "outside" }
	var got []string
	for _, err := range compare(want, modules, together) {
		got = append(got, err.Error())
	}
	const faults = `a/go.mod: its go line is not 1.26.0
a/go.mod: replacement k8s.io/client-go is v0.36.0, want v0.37.2
a/go.mod: example.com/both is v1.0.0, want v1.1.0
a/go.mod: k8s.io/api is v0.36.0, want v0.37.2
b/go.mod: example.com/unlisted, required by a too, is not in tools/versions.txt
outside/go.mod: example.com/both is v1.0.1, want v1.1.0`
	if strings.Join(got, "\n") != faults {
		t.Errorf("faults:\n%s\nwant:\n%s", strings.Join(got, "\n"), faults)
	}
	for _, m := range modules {
		if err := align(want, m.File); err != nil {
			t.Fatal(err)
		}
	}
	if left := compare(want, modules, together); len(left) != 1 || !strings.Contains(left[0].Error(), "is not in tools/versions.txt") {
		t.Errorf("after align: %v", left)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{"", "go 1.26.0\nk8s.io/api\n", "go 1.26.0\nk8s.io/api latest\n", "go 1.26.0\na v1.0.0\na v1.1.0\n"} {
		if _, err := parse(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

func TestSetWritesOnlyChanges(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"go.work":    "go 1.25.0\n\nuse ./pkg\n",
		list:         "go 1.26.0\nk8s.io/* v0.37.2\n",
		"pkg/go.mod": "module github.com/towline/towline/pkg\n\ngo 1.26.0\n\n// why it is here\nrequire k8s.io/api v0.37.1\n",
	} {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := run(root, false); err == nil {
		t.Error("run found nothing")
	}
	if err := run(root, true); err != nil {
		t.Fatal(err)
	}
	if err := run(root, false); err != nil {
		t.Error(err)
	}
	got, err := os.ReadFile(filepath.Join(root, "pkg", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	if want := "module github.com/towline/towline/pkg\n\ngo 1.26.0\n\n// why it is here\nrequire k8s.io/api v0.37.2\n"; string(got) != want {
		t.Errorf("go.mod = %s", got)
	}
}
