package output_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/towline/towline/tools/internal/output"
)

func TestCreated(t *testing.T) {
	for epoch, want := range map[string]int64{"": 0, "1700000000": 1_700_000_000} {
		if got, err := output.Created(func(string) string { return epoch }); err != nil || !got.Equal(time.Unix(want, 0)) || got.Location() != time.UTC {
			t.Errorf("%q: %s, %v", epoch, got, err)
		}
	}
	if _, err := output.Created(func(string) string { return "yesterday" }); err == nil {
		t.Error("a date that is none is taken")
	}
}

func TestAFileIsWholeOrAsItWas(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(dir, "file")
	holds := func(want string) {
		t.Helper()
		if got, err := os.ReadFile(target); err != nil || string(got) != want {
			t.Errorf("%q, %v", got, err)
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
			t.Errorf("left behind: %v, %v", entries, err)
		}
	}
	if err := output.Write(target, func(w io.Writer) error { _, err := fmt.Fprint(w, "whole"); return err }); err != nil {
		t.Fatal(err)
	}
	holds("whole")
	failure := errors.New("the disk is full")
	if err := output.Write(target, func(w io.Writer) error { fmt.Fprint(w, "ha"); return failure }); !errors.Is(err, failure) {
		t.Errorf("error %v", err)
	}
	holds("whole")
	if info, err := os.Stat(target); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}
