package keys

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/towline/towline/pkg/filewatch"
	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/succession"
)

// pair is a key as PEM, and its id.
type pair struct {
	pem []byte
	kid string
}

func newPair(t *testing.T) pair {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pair{pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), grant.Thumbprint(public)}
}

// published are the ids of the keys in the JWKS, and the verifier that has them.
func published(t *testing.T, k *Keys) grant.StaticKeys {
	t.Helper()
	set, err := grant.ParseJWKS(k.JWKS())
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func signed(t *testing.T, k *Keys) string {
	t.Helper()
	token, err := k.Sign(grant.Claims{
		RegisteredClaims: jwt.RegisteredClaims{ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Hour))},
		Job:              grant.Job{ID: 1}, Identity: grant.Identity{Mode: grant.ModeCIJob, User: "gitlab:ci_job:1"},
		Agent: grant.Agent{Project: "a/b", Name: "c"}, PayloadDigest: grant.Digest(nil),
	})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// TestARotation goes through the steps of the guide: grants of both keys are good
// at every moment, and so is a verifier that has not heard of the new one when
// it is put there.
func TestARotation(t *testing.T) {
	old, fresh := newPair(t), newPair(t)
	path := file(t, old.pem)
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		k, err := Load(path, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		put := func(content ...[]byte) {
			synctest.Wait() // nobody reads a file that is half written
			if err := os.WriteFile(path, bytes.Join(content, []byte("\n")), 0o600); err != nil {
				t.Fatal(err)
			}
			time.Sleep(filewatch.Interval + time.Millisecond)
			synctest.Wait()
		}
		go func() { _ = k.Run(t.Context()) }()
		before := signed(t, k)

		put(fresh.pem, old.pem)
		if got := published(t, k); len(got) != 2 || got[fresh.kid] == nil || got[old.kid] == nil {
			t.Errorf("published: %v", got)
		}
		if k.KeyID() != old.kid {
			t.Error("the new key signs before every replica can have published it")
		}
		time.Sleep(succession.Settle)
		if k.KeyID() != fresh.kid {
			t.Error("the new key does not sign")
		}
		after := signed(t, k)
		for name, token := range map[string]string{"old": before, "new": after} {
			if _, err := grant.NewVerifier(published(t, k)).Verify(t.Context(), token, grant.AudienceGate); err != nil {
				t.Errorf("the grant of the %s key: %v", name, err)
			}
		}
		for name, content := range map[string][]byte{"nothing": nil, "rubbish": []byte("hush-hush")} {
			put(content)
			if k.KeyID() != fresh.kid || len(published(t, k)) != 2 {
				t.Errorf("%s in the file changed the keys", name)
			}
		}
		if n := strings.Count(log.String(), "the files cannot be used"); n != 2 || strings.Contains(log.String(), "hush") {
			t.Errorf("log: %s", &log)
		}

		put(fresh.pem)
		if got := published(t, k); len(got) != 1 || got[fresh.kid] == nil {
			t.Errorf("published in the end: %v", got)
		}
		if _, err := grant.NewVerifier(published(t, k)).Verify(t.Context(), before, grant.AudienceGate); err == nil {
			t.Error("a grant of the key that was taken away is good")
		}
	})
}

// TestAKeyThatIsTakenAwaySignsNoMore: it may be in wrong hands.
func TestAKeyThatIsTakenAwaySignsNoMore(t *testing.T) {
	old, fresh := newPair(t), newPair(t)
	path := file(t, old.pem)
	k, err := Load(path, quiet)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, fresh.pem, 0o600); err != nil {
		t.Fatal(err)
	}
	k.Check()
	if got := published(t, k); k.KeyID() != fresh.kid || got[old.kid] != nil {
		t.Errorf("signs %s, published %v", k.KeyID(), got)
	}
}

// TestASecretsVolume: the files are links into a directory that is swapped.
func TestASecretsVolume(t *testing.T) {
	one, two := newPair(t), newPair(t)
	dir := t.TempDir()
	state := func(name string, files map[string][]byte) {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		for file, content := range files {
			if err := os.WriteFile(filepath.Join(dir, name, file), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		link := func(to, from string) {
			if err := os.Symlink(to, from+".new"); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(from+".new", from); err != nil {
				t.Fatal(err)
			}
		}
		link(name, filepath.Join(dir, "..data"))
		for file := range files {
			link(filepath.Join("..data", file), filepath.Join(dir, file))
		}
	}
	state("..1", map[string][]byte{"2026-01.pem": one.pem})
	k, err := Load(dir, quiet)
	if err != nil || k.KeyID() != one.kid {
		t.Fatalf("%v", err)
	}
	state("..2", map[string][]byte{"2026-01.pem": one.pem, "2026-07.pem": two.pem})
	k.Check()
	if got := published(t, k); len(got) != 2 || k.KeyID() != one.kid {
		t.Errorf("published %v, signs %s", got, k.KeyID())
	}
	again, err := Load(dir, quiet)
	if err != nil || again.KeyID() != two.kid {
		t.Errorf("at the next start %s signs, %v", again.KeyID(), err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n-----END PRIVATE KEY-----\n"))
	f.Add([]byte("hello"))
	f.Fuzz(func(t *testing.T, content []byte) {
		found, err := parse(content)
		if err == nil && len(bytes.TrimSpace(content)) > 0 && len(found) == 0 {
			t.Error("nothing was found and nothing was wrong")
		}
		for _, key := range found {
			if _, err := grant.NewSigner(key); err != nil {
				t.Errorf("a key that cannot sign: %v", err)
			}
		}
	})
}
