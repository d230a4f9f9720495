package seal_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/seal"
)

func key(b byte) []byte { return bytes.Repeat([]byte{b}, seal.KeySize) }

func box(tb testing.TB, keys ...[]byte) *seal.Box {
	tb.Helper()
	b, err := seal.New(keys...)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func sealed(tb testing.TB, b *seal.Box, plain, purpose string) []byte {
	tb.Helper()
	s, err := b.Seal([]byte(plain), purpose)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func TestSealedTextOpensForItsPurpose(t *testing.T) {
	b := box(t, key(1))
	for _, plain := range []string{"", "x", "secret of a job", strings.Repeat("long ", 1<<18)} {
		s := sealed(t, b, plain, "job:1001")
		if len(plain) > 8 && bytes.Contains(s, []byte(plain)) { // a shorter one may stand there by chance
			t.Error("the plain text shows in the sealed one")
		}
		got, err := b.Open(s, "job:1001")
		if err != nil || string(got) != plain {
			t.Errorf("%d bytes come back as %d bytes, %v", len(plain), len(got), err)
		}
	}
}

func TestSealingTwiceLooksDifferent(t *testing.T) {
	b := box(t, key(1))
	if bytes.Equal(sealed(t, b, "same", "p"), sealed(t, b, "same", "p")) {
		t.Error("a nonce was used twice")
	}
}

func TestOpenRefuses(t *testing.T) {
	b := box(t, key(1))
	s := sealed(t, b, "secret", "job:1001")
	tests := map[string]struct {
		box     *seal.Box
		sealed  []byte
		purpose string
	}{
		"another job's purpose":      {b, s, "job:1002"},
		"a prefix of the purpose":    {b, s, "job:100"},
		"no purpose":                 {b, s, ""},
		"another key":                {box(t, key(2)), s, "job:1001"},
		"several other keys":         {box(t, key(2), key(3)), s, "job:1001"},
		"nothing":                    {b, nil, "job:1001"},
		"something never sealed":     {b, []byte(`{"id":1001}`), "job:1001"},
		"another version":            {b, append([]byte{2}, s[1:]...), "job:1001"},
		"appended bytes":             {b, append(bytes.Clone(s), 0), "job:1001"},
		"two sealed texts in a row":  {b, append(bytes.Clone(s), s...), "job:1001"},
		"a header of another's body": {b, append(bytes.Clone(s[:21]), sealed(t, b, "other", "job:1001")[21:]...), "job:1001"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got, err := tt.box.Open(tt.sealed, tt.purpose); !errors.Is(err, seal.ErrTampered) || got != nil {
				t.Errorf("Open = %q, %v; want ErrTampered", got, err)
			}
		})
	}
}

func TestOpenRefusesEveryFlippedBitAndEveryCut(t *testing.T) {
	b := box(t, key(1))
	s := sealed(t, b, "secret", "job:1001")
	for i := range s {
		for bit := range 8 {
			s[i] ^= 1 << bit
			if _, err := b.Open(s, "job:1001"); !errors.Is(err, seal.ErrTampered) {
				t.Errorf("byte %d, bit %d flipped: %v, want ErrTampered", i, bit, err)
			}
			s[i] ^= 1 << bit
		}
		if _, err := b.Open(s[:i], "job:1001"); !errors.Is(err, seal.ErrTampered) {
			t.Errorf("cut to %d bytes: %v, want ErrTampered", i, err)
		}
	}
	if _, err := b.Open(s, "job:1001"); err != nil {
		t.Errorf("the text itself: %v", err)
	}
}

func TestKeysRotate(t *testing.T) {
	before, during, after := box(t, key(1)), box(t, key(2), key(1)), box(t, key(2))
	old, recent := sealed(t, before, "old", "p"), sealed(t, during, "new", "p")
	tests := map[string]struct {
		box    *seal.Box
		sealed []byte
		opens  bool
	}{
		"old text while both keys are there": {during, old, true},
		"new text while both keys are there": {during, recent, true},
		"new text with the new key alone":    {after, recent, true},
		"old text when its key is gone":      {after, old, false},
		"new text before the key arrives":    {before, recent, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := tt.box.Open(tt.sealed, "p")
			if (err == nil) != tt.opens {
				t.Errorf("Open: %v, want opens = %t", err, tt.opens)
			}
			if err != nil && (!errors.Is(err, seal.ErrUnknownKey) || !errors.Is(err, seal.ErrTampered) || !strings.Contains(err.Error(), "which is none of the 1 in the file of sealing keys")) {
				t.Errorf("the error does not say that the key is not here: %v", err)
			}
		})
	}
}

func TestNewRefusesBadKeys(t *testing.T) {
	for name, keys := range map[string][][]byte{
		"none":             nil,
		"empty":            {{}},
		"short":            {key(1)[1:]},
		"long":             {append(key(1), 1)},
		"a bad second one": {key(1), nil},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := seal.New(keys...); err == nil {
				t.Error("no error")
			}
		})
	}
}

func TestLoadReadsTheNewestKeyFirst(t *testing.T) {
	enc := base64.StdEncoding.EncodeToString
	path := filepath.Join(t.TempDir(), "seal.key")
	text := fmt.Sprintf("# made today\n  %s \r\n\n#old\n%s", enc(key(2)), enc(key(1)))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := seal.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := box(t, key(2)).Open(sealed(t, b, "x", "p"), "p"); err != nil {
		t.Errorf("sealed with another key than the first: %v", err)
	}
	if _, err := b.Open(sealed(t, box(t, key(1)), "x", "p"), "p"); err != nil {
		t.Errorf("the old key is not read: %v", err)
	}
}

func TestLoadSaysWhatIsWrongAndWhere(t *testing.T) {
	good := base64.StdEncoding.EncodeToString(key(1))
	short := base64.StdEncoding.EncodeToString(key(7)[2:])
	tests := map[string]struct{ text, want string }{
		"empty":               {"", "FILE holds no key (make one with: openssl rand -base64 32)"},
		"only comments":       {"# soon\n\n", "FILE holds no key (make one with: openssl rand -base64 32)"},
		"not base64":          {"# key\n\n!!secret!!\n", "FILE:3: want 32 bytes in base64 (make one with: openssl rand -base64 32)"},
		"too short":           {good + "\n" + short, "FILE:2: want 32 bytes in base64 (make one with: openssl rand -base64 32)"},
		"two keys on a line":  {good + " " + good, "FILE:1: want 32 bytes in base64 (make one with: openssl rand -base64 32)"},
		"larger than a key's": {strings.Repeat("#\n", 3000), "sealing key file FILE is over 4096 bytes"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "seal.key")
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := seal.Load(path)
			if err == nil {
				t.Fatal("no error")
			}
			if diff := cmp.Diff(tt.want, strings.ReplaceAll(err.Error(), path, "FILE")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLoadOfAMissingFile(t *testing.T) {
	if _, err := seal.Load(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error = %v, want os.ErrNotExist", err)
	}
}

func TestLoadReadsNoMoreThanAKeyFile(t *testing.T) {
	if _, err := os.Stat("/dev/zero"); err != nil {
		t.Skip("no endless file here")
	}
	if _, err := seal.Load("/dev/zero"); err == nil || !strings.Contains(err.Error(), "over 4096 bytes") {
		t.Errorf("error = %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	b := box(f, key(1), key(2))
	s := sealed(f, b, "secret", "job:1001")
	f.Add(s)
	f.Add(s[:len(s)-1])
	f.Add(s[:21])
	f.Add(sealed(f, box(f, key(2)), "", "job:1001"))
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := b.Open(data, "nobody sealed for this"); !errors.Is(err, seal.ErrTampered) {
			t.Errorf("Open: %v, want ErrTampered", err)
		}
		again := sealed(t, b, string(data), "job:1001")
		if plain, err := b.Open(again, "job:1001"); err != nil || !bytes.Equal(plain, data) {
			t.Errorf("%d bytes do not survive: %v", len(data), err)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	bx, plain := box(b, key(1)), bytes.Repeat([]byte("payload "), 4<<10)
	b.SetBytes(int64(len(plain)))
	for b.Loop() {
		if _, err := bx.Seal(plain, "job:1001"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	bx := box(b, key(1))
	s := sealed(b, bx, strings.Repeat("payload ", 4<<10), "job:1001")
	b.SetBytes(int64(len(s)))
	for b.Loop() {
		if _, err := bx.Open(s, "job:1001"); err != nil {
			b.Fatal(err)
		}
	}
}
