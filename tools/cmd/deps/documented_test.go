package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestEveryRequiredModuleHasItsReason(t *testing.T) {
	root := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("pkg/go.mod", "module m\n\ngo 1.26\n\ntool example.com/tool/cmd/x\n\nrequire (\n\texample.com/a v1.0.0\n\texample.com/b v1.0.0 // indirect\n\texample.com/tool v1.0.0 // indirect\n)\n")
	write(page, "## pkg\n\n| module | why |\n| --- | --- |\n| example.com/a, example.com/tool | it is needed |\n")
	if err := documented(root); err != nil {
		t.Error(err)
	}
	write(page, "## pkg\n\n| module | why |\n| --- | --- |\n| example.com/a, example.com/gone | it is needed |\n\n## nothing\n")
	err := documented(root)
	if err == nil {
		t.Fatal("no fault")
	}
	for _, want := range []string{"- example.com/gone", "+ example.com/tool", `section "nothing"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
}
