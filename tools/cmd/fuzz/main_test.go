package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestTargets(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "pkg", "grant")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	const text = "package grant\n\nfunc FuzzVerify(f *testing.F) {}\n\nfunc FuzzyMatch(s string) bool { return false }\n"
	for _, name := range []string{"grant_test.go", "grant.go"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := targets(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[0].String() != "pkg/grant.FuzzVerify" {
		t.Errorf("targets = %v", got)
	}
}
