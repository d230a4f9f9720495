package syncspec

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/agentconfig"
)

func TestPackingIsTheSameEachTime(t *testing.T) {
	files := []File{{"b/c.yaml", []byte("c")}, {"a.yaml", []byte("a")}}
	one, err := Pack(files)
	if err != nil {
		t.Fatal(err)
	}
	two, err := Pack([]File{files[1], files[0]})
	if err != nil || !bytes.Equal(one, two) {
		t.Fatalf("differs: %v", err)
	}
	got, err := Unpack(one)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]File{files[1], files[0]}, got); diff != "" {
		t.Error(diff)
	}
}

func TestHostileBundlesAreRefused(t *testing.T) {
	for name, h := range map[string]tar.Header{
		"above":    {Name: "../a", Typeflag: tar.TypeReg},
		"absolute": {Name: "/a", Typeflag: tar.TypeReg},
		"link":     {Name: "a", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"},
		"twice":    {Name: "a//b", Typeflag: tar.TypeReg},
		"large":    {Name: "a", Typeflag: tar.TypeReg, Size: MaxFileBytes + 1},
	} {
		var buf bytes.Buffer
		z := gzip.NewWriter(&buf)
		w := tar.NewWriter(z)
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		_, _ = w.Write(make([]byte, h.Size))
		_, _ = w.Close(), z.Close()
		if got, err := Unpack(buf.Bytes()); err == nil {
			t.Errorf("%s: accepted %v", name, got)
		}
	}
}

func TestSecretsAreKeptOutOfReports(t *testing.T) {
	var r Report
	r.Conceal([]string{"hunter2", "one\ntwo words", "1", "aHVudGVyMw=="})
	r.Add(`a.yaml:1: Invalid value: "hunter2", "one\ntwo words" or aHVudGVyMg==, hunter3`)
	r.Add("line: two words\n1 of " + strings.Repeat("hunter2", MaxText))
	if r.Problems[0] != `a.yaml:1: Invalid value: "[redacted]", "[redacted]" or [redacted], [redacted]` || !strings.HasPrefix(r.Problems[1], "line: [redacted]\n1 of [redacted]") || strings.Contains(r.Problems[1], "hunt") {
		t.Errorf("%q", r.Problems)
	}
}

func TestReportsAreBounded(t *testing.T) {
	r := Report{State: Succeeded, Objects: 3, Counts: map[string]int{"created": 2, "unchanged": 1}, Drifted: 1}
	if got := r.Summary(); got != "3 objects, 2 created, 1 had drifted" {
		t.Error(got)
	}
	for range MaxProblems + 5 {
		r.Add(strings.Repeat("x", MaxText+1))
	}
	if len(r.Problems) != MaxProblems || r.More != 5 || r.State != Failed || len(r.Problems[0]) != MaxText+3 {
		t.Errorf("%d problems and %d more, %s", len(r.Problems), r.More, r.State)
	}
	if !strings.HasSuffix(r.Summary(), "x... (and 54 more)") {
		t.Error(r.Summary()[MaxText:])
	}
}

func TestInventoryOfGitLabsAgentIsFound(t *testing.T) {
	task := Task{ProjectID: 42, Entry: agentconfig.Manifests{Name: "a/b", Project: "a/b"}}
	if got := task.InventoryID(7); got != "7-42" {
		t.Error(got)
	}
	task.Entry.Name = "second"
	if got := task.InventoryID(7); len(got) != len("7-42-")+labelDigest {
		t.Error(got)
	}
}

func FuzzUnpack(f *testing.F) {
	b, err := Pack([]File{{"a/b.yaml", []byte("a: 1")}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, in []byte) {
		files, err := Unpack(in)
		for _, file := range files {
			if err == nil && !Clean(file.Path) {
				t.Errorf("accepted %q", file.Path)
			}
		}
	})
}
