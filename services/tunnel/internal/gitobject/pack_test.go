package gitobject

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The packs are what git 2 answers to a fetch of one commit without its files.
const (
	signedSSH    ID = "e2ef893943d78bfd222dff3e3bf55282aeee1138"
	signedPGP    ID = "72f728c48338bf725d3eb903618891872be23d53"
	unsigned     ID = "6f283119766fc144926ef874f48b3d21e6ad4682"
	signedSHA256 ID = "7ca72d864f42806a8887ba0e7b1fc1c224cb9ed208ec3ed2e5a5cae6614f4db4"
)

func packed(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name+".pack"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFilesOfACommit(t *testing.T) {
	o, err := Read(packed(t, "ssh"), signedSSH)
	if err != nil {
		t.Fatal(err)
	}
	c, err := o.Commit(signedSSH)
	if err != nil {
		t.Fatal(err)
	}
	files, err := o.Files(c.Tree)
	if err != nil || len(files) != 124 { // 60 of each directory: one of them comes as a change of the other
		t.Fatalf("%d files, %v", len(files), err)
	}
	got := map[string]File{}
	for _, f := range files {
		got[f.Path] = f
	}
	for _, want := range []File{
		{"k8s/a.yaml", OfFile([]byte("a: 1\n"), signedSSH), true},
		{"k8s/deep/b.yaml", OfFile([]byte("b: 1\n"), signedSSH), true},
		{"two/file-7.txt", OfFile([]byte("x\n"), signedSSH), true},
		{"one/file-7.txt", OfFile([]byte("7\n"), signedSSH), true},
		{"link", OfFile([]byte("README.md"), signedSSH), false},
	} {
		if diff := cmp.Diff(want, got[want.Path]); diff != "" {
			t.Error(diff)
		}
	}
	if !strings.HasPrefix(string(c.Payload), "tree "+string(c.Tree)+"\nauthor Jane <jane@example.com> ") || !strings.HasSuffix(string(c.Payload), "\n\nSigned with SSH\n") ||
		!strings.HasPrefix(c.Signature, "-----BEGIN SSH SIGNATURE-----\n") || !strings.HasSuffix(c.Signature, "\n-----END SSH SIGNATURE-----\n") {
		t.Errorf("%s\n%s", c.Payload, c.Signature)
	}
	if _, err := o.Commit(unsigned); err == nil || err.Error() != "GitLab did not send the commit 6f283119" {
		t.Error(err)
	}
	if _, err := o.Commit(c.Tree); err == nil {
		t.Error("a tree was taken for a commit")
	}
}

func TestRepositoriesWithSHA256(t *testing.T) {
	o, err := Read(packed(t, "sha256"), signedSHA256)
	if err != nil {
		t.Fatal(err)
	}
	c, err := o.Commit(signedSHA256)
	if err != nil || c.Signature == "" || bytes.Contains(c.Payload, []byte("gpgsig")) {
		t.Fatalf("%+v, %v", c, err)
	}
	files, err := o.Files(c.Tree)
	if diff := cmp.Diff([]File{{"k8s/a.yaml", OfFile([]byte("a: 1\n"), signedSHA256), true}}, files); diff != "" || err != nil {
		t.Error(err, diff)
	}
}

// entry is an object as it stands in a pack.
func entry(kind byte, content []byte) []byte {
	size := len(content)
	b := []byte{kind<<4 | byte(size&0xf)}
	for size >>= 4; size > 0; size >>= 7 {
		b[len(b)-1] |= 0x80
		b = append(b, byte(size&0x7f))
	}
	var z bytes.Buffer
	w := zlib.NewWriter(&z)
	_, _ = w.Write(content)
	_ = w.Close()
	return append(b, z.Bytes()...)
}

func pack(entries ...[]byte) []byte {
	b := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32([]byte("PACK"), 2), uint32(len(entries)))
	for _, e := range entries {
		b = append(b, e...)
	}
	sum := sha1.Sum(b)
	return append(b, sum[:]...)
}

func TestHostilePacks(t *testing.T) {
	good := packed(t, "ssh")
	flipped := bytes.Clone(good)
	flipped[len(flipped)/2] ^= 1
	bomb := entry(2, make([]byte, 1<<16))
	lies := entry(2, []byte("abc"))
	lies[0]++ // one byte more than there is
	var base [sizeSHA1]byte
	alone := append([]byte{7<<4 | 4}, base[:]...)
	alone = append(alone, entry(2, []byte{0, 0, 1, 1})[1:]...)
	for name, in := range map[string][]byte{
		"nothing": nil, "cut": good[:len(good)-30], "flipped": flipped, "more": pack(entry(2, nil))[:31], "lies": pack(lies), "a change of nothing": pack(alone), "kind": pack(entry(5, nil)),
		"count": append(append([]byte("PACK\x00\x00\x00\x02\xff\xff\xff\xff"), make([]byte, 30)...), 0),
	} {
		if o, err := Read(in, signedSSH); err == nil {
			t.Errorf("%s: accepted %v", name, o)
		}
	}
	if _, err := read(pack(bomb, bomb, bomb), signedSSH, 3<<16); err != nil {
		t.Errorf("as much as may be: %v", err)
	}
	if _, err := read(pack(bomb, bomb, bomb), signedSSH, 3<<16-1); err == nil || !strings.Contains(err.Error(), "have more than 196607 bytes") {
		t.Errorf("a bomb: %v", err)
	}
	if _, err := Read(good, "main"); err == nil {
		t.Error("a branch was taken for a commit")
	}
}

func TestHostileTrees(t *testing.T) {
	raw := func(mode, name string) []byte { return append([]byte(mode+" "+name+"\x00"), make([]byte, sizeSHA1)...) }
	for name, tt := range map[string][]byte{
		"above": raw("100644", ".."), "here": raw("100644", "."), "slash": raw("100644", "a/b"), "empty": raw("100644", ""), "mode": raw("100000", "a"), "cut": raw("100644", "a")[:20], "missing": raw("40000", "a"),
		"no mode": append([]byte("a\x00"), make([]byte, sizeSHA1)...),
	} {
		o := &Objects{size: sizeSHA1, all: map[ID]object{"x": {"tree", tt}}}
		if files, err := o.Files("x"); err == nil {
			t.Errorf("%s: accepted %v", name, files)
		}
	}
	// A directory that holds itself cannot be made, but one whose entries are all
	// the same one below can, and grows with each level.
	o := &Objects{size: sizeSHA1, all: map[ID]object{}}
	id := name("blob", nil, sizeSHA1)
	mode := "100644"
	for range 20 {
		var content []byte
		for _, n := range "abcdefghij" {
			content = append(content, raw(mode, string(n))[:len(mode)+3]...)
			content = append(content, unhex(t, id)...)
		}
		id, mode = name("tree", content, sizeSHA1), "40000"
		o.all[id] = object{"tree", content}
	}
	if _, err := o.Files(id); err == nil || !strings.Contains(err.Error(), "more than 200000 files") {
		t.Errorf("a bomb: %v", err)
	}
}

func unhex(t *testing.T, id ID) []byte {
	t.Helper()
	b := make([]byte, sizeSHA1)
	for i := range b {
		var v byte
		for _, c := range []byte(id[2*i : 2*i+2]) {
			v = v<<4 | byte(strings.IndexByte("0123456789abcdef", c))
		}
		b[i] = v
	}
	return b
}

func TestOddCommits(t *testing.T) {
	o := &Objects{size: sizeSHA1}
	tree := "tree " + string(unsigned) + "\n"
	for name, text := range map[string]string{
		"no tree": "author x\n\nm", "two signatures": tree + "gpgsig a\n b\nauthor x\ngpgsig c\n\nm", "no message": tree + "author x", "short": "tree 1234\n\nm", "empty": "",
	} {
		if c, err := o.parseCommit([]byte(text)); err == nil {
			t.Errorf("%s: accepted %+v", name, c)
		}
	}
	c, err := o.parseCommit([]byte(tree + "mergetag object x\n gpgsig no\nencoding y\ngpgsig one\n two\n \n three\ngpgsig-sha256 other\n more\n\ngpgsig in the message\n"))
	if err != nil || c.Signature != "one\ntwo\n\nthree\n" || string(c.Payload) != tree+"mergetag object x\n gpgsig no\nencoding y\n\ngpgsig in the message\n" {
		t.Errorf("%q, %v", c, err)
	}
}

func FuzzRead(f *testing.F) {
	for _, n := range []string{"ssh", "none"} {
		f.Add(packed(f, n))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > sizeSHA1 { // or nothing but the first check would be tried
			sum := sha1.Sum(in[:len(in)-sizeSHA1])
			in = append(in[:len(in)-sizeSHA1:len(in)-sizeSHA1], sum[:]...)
		}
		o, err := Read(in, signedSSH)
		if err != nil {
			return
		}
		for id, x := range o.all {
			if id != name(x.kind, x.content, sizeSHA1) {
				t.Errorf("%s is not the name of its content", id)
			}
			_, _ = o.parseCommit(x.content)
			_, _ = o.Files(id)
		}
	})
}
