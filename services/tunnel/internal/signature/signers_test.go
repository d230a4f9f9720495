package signature

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/towline/towline/services/tunnel/internal/gitobject"
)

const of = "../gitobject/testdata"

func text(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(of, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// commit is one that git has signed with ssh-keygen or gpg.
func commit(t testing.TB, name string, id gitobject.ID) *gitobject.Commit {
	t.Helper()
	o, err := gitobject.Read([]byte(text(t, name+".pack")), id)
	if err != nil {
		t.Fatal(err)
	}
	c, err := o.Commit(id)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWhoHasSigned(t *testing.T) {
	bySSH, byPGP := commit(t, "ssh", "e2ef893943d78bfd222dff3e3bf55282aeee1138"), commit(t, "pgp", "72f728c48338bf725d3eb903618891872be23d53")
	bySHA256, none := commit(t, "sha256", "7ca72d864f42806a8887ba0e7b1fc1c224cb9ed208ec3ed2e5a5cae6614f4db4"), commit(t, "none", "6f283119766fc144926ef874f48b3d21e6ad4682")
	jane, joe := text(t, "jane.pub"), text(t, "joe.asc")
	const stranger = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE5xVvBMBQTZ0vQNZ8xkTj7LBC1XcHZ8LVvS8d1wUu0x"
	changed := append([]byte("x"), bySSH.Payload...)
	for name, tt := range map[string]struct {
		signers   []string
		payload   []byte
		signature string
		who, err  string
	}{
		"SSH":              {[]string{joe, jane}, bySSH.Payload, bySSH.Signature, "jane (SHA256:", ""},
		"SSH, SHA-256":     {[]string{jane}, bySHA256.Payload, bySHA256.Signature, "jane (SHA256:", ""},
		"OpenPGP":          {[]string{jane, joe}, byPGP.Payload, byPGP.Signature, "Joe <joe@example.com> (", ""},
		"unsigned":         {[]string{jane}, none.Payload, none.Signature, "", "it is not signed"},
		"a stranger":       {[]string{stranger, joe}, bySSH.Payload, bySSH.Signature, "", "its signature is of nobody in verify.signers; it names the key SHA256:"},
		"a stranger's PGP": {[]string{jane}, byPGP.Payload, byPGP.Signature, "", "its signature is of nobody in verify.signers"},
		"changed":          {[]string{jane}, changed, bySSH.Signature, "", "its signature is wrong"},
		"changed, PGP":     {[]string{joe}, changed, byPGP.Signature, "", "its signature is of nobody in verify.signers, or wrong"},
		"of another":       {[]string{jane}, byPGP.Payload, bySSH.Signature, "", "its signature is wrong"},
		"cut":              {[]string{jane}, bySSH.Payload, bySSH.Signature[:len(bySSH.Signature)/2], "", "its signature is wrong or malformed"},
		"X.509":            {[]string{jane}, bySSH.Payload, "-----BEGIN SIGNED MESSAGE-----\n", "", "neither SSH's nor OpenPGP's"},
	} {
		s, err := Parse(tt.signers)
		if err != nil {
			t.Fatal(err)
		}
		who, err := s.Verify(tt.payload, tt.signature)
		if !strings.HasPrefix(who, tt.who) || tt.who == "" && who != "" || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %q, %v", name, who, err)
		}
	}
}

// ssh-keygen -Y sign -n file made it: the key is right, and it was not asked to
// sign a commit.
func TestASignatureForSomethingElseDoesNotCount(t *testing.T) {
	s, err := Parse([]string{text(t, "jane.pub")})
	if err != nil {
		t.Fatal(err)
	}
	c := commit(t, "ssh", "e2ef893943d78bfd222dff3e3bf55282aeee1138")
	if who, err := s.Verify(c.Payload, text(t, "elsewhere.sig")); err == nil || who != "" {
		t.Errorf("%q, %v", who, err)
	}
}

func TestWhatIsNoSigner(t *testing.T) {
	for _, list := range [][]string{nil, {"jane"}, {"-----BEGIN PGP PUBLIC KEY BLOCK-----\nx\n-----END PGP PUBLIC KEY BLOCK-----"}, {text(t, "jane.pub") + text(t, "jane.pub")}} {
		if s, err := Parse(list); err == nil {
			t.Errorf("%q: %+v", list, s)
		}
	}
}

func FuzzVerify(f *testing.F) {
	s, err := Parse([]string{text(f, "jane.pub"), text(f, "joe.asc")})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(commit(f, "ssh", "e2ef893943d78bfd222dff3e3bf55282aeee1138").Signature)
	f.Add(commit(f, "pgp", "72f728c48338bf725d3eb903618891872be23d53").Signature)
	f.Fuzz(func(t *testing.T, armored string) {
		if who, err := s.Verify([]byte("never signed"), armored); err == nil {
			t.Errorf("signed by %s", who)
		}
	})
}
