package sops

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func testKeys(t testing.TB) Keys {
	t.Helper()
	k, err := ParseKeys(map[string][]byte{"a.agekey": read(t, "keys.agekey"), "other": []byte("x")})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// values are the documents of a text as the library reads them.
func values(t *testing.T, text []byte) (docs []any) {
	t.Helper()
	for dec := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var v any
		if dec.Decode(&v) != nil {
			return docs
		}
		docs = append(docs, v)
	}
}

// The files are of the sops program, version 3.11.0.
func TestFilesOfTheSopsProgram(t *testing.T) {
	keys := testKeys(t)
	for name, plain := range map[string]string{"regex.yaml": "plain.yaml", "all.yaml": "plain.yaml", "mac-only.yaml": "plain.yaml", "unencrypted-regex.yaml": "plain.yaml", "suffix.json": "plain.json"} {
		in := read(t, name)
		if !IsEncrypted(in) || IsEncrypted(read(t, plain)) {
			t.Errorf("%s is not told from %s", name, plain)
		}
		got, err := keys.Decrypt(in, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(values(t, read(t, plain)), values(t, got.Content)); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
		if want := map[string]string{"plain.yaml": "correct horse\nbattery: staple # ä", "plain.json": "secret-of-json"}[plain]; !slices.Contains(got.Values, want) {
			t.Errorf("%s: secrets %q", name, got.Values)
		}
	}
}

func TestTextsStayInTheirLine(t *testing.T) {
	got, err := testKeys(t).Decrypt(read(t, "regex.yaml"), func(s string) string { return strings.ReplaceAll(s, "abc", "a-b-c") })
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(got.Content), "\n")
	if !slices.Contains(lines, `    password: "correct horse\nbattery: staple # ä"`) || !slices.Contains(lines, `    token: "a-b-c"`) {
		t.Error(string(got.Content))
	}
}

func TestWhatIsNotDecrypted(t *testing.T) {
	regex, all := string(read(t, "regex.yaml")), string(read(t, "all.yaml"))
	token := regex[strings.Index(regex, "token: ")+len("token: "):]
	token = token[:strings.Index(token, "\n")]
	for name, tt := range map[string]struct{ in, want string }{
		"a plain value changed":    {strings.Replace(regex, "replicas: 3", "replicas: 30", 1), "its message authentication code is wrong"},
		"a plain value added":      {strings.Replace(regex, "replicas: 3", "replicas: 3\n    more: x", 1), "its message authentication code is wrong"},
		"a value removed":          {strings.Replace(regex, "    token: "+token+"\n", "", 1), "its message authentication code is wrong"},
		"a value elsewhere":        {strings.Replace(regex, "    token: ", "    other: ", 1), "line 11: stringData.other: it cannot be decrypted: the value has been changed, or moved under another key"},
		"a value in plain text":    {strings.Replace(regex, token, "abc", 1), "line 11: stringData.token: it is not encrypted, although its key says that it should be"},
		"a value with a bit wrong": {strings.Replace(regex, token, strings.Replace(token, "data:", "data:AA", 1), 1), "stringData.token: it cannot be decrypted"},
		"no code":                  {dropLine(regex, "    mac: "), "it has no message authentication code"},
		"no section":               {strings.ReplaceAll(regex, "sops:", "ops:"), "it has encrypted values and no section sops"},
		"another time":             {strings.ReplaceAll(regex, `lastmodified: "20`, `lastmodified: "19`), "its message authentication code is wrong"},
		"no age key":               {strings.ReplaceAll(all, "    age:", "    pgp:"), "it is not encrypted for an age key"},
		"groups":                   {strings.ReplaceAll(all, "sops:\n", "sops:\n    key_groups: [{}]\n"), "its key is divided among groups"},
		"comments":                 {strings.ReplaceAll(all, "unencrypted_suffix: ", "unencrypted_comment_regex: "), "it chooses values by comments"},
		"two rules":                {strings.ReplaceAll(all, "sops:\n", "sops:\n    encrypted_suffix: x\n"), "it has several rules"},
		"rule changed":             {strings.ReplaceAll(regex, "encrypted_regex: ", "unencrypted_regex: "), "it is not encrypted, although"},
		"alias":                    {strings.Replace(regex, "replicas: 3", "replicas: &a 3\n    more: *a", 1), "aliases have no place in an encrypted file"},
		"syntax":                   {regex + "\na: [", "not valid YAML: "},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.in == regex || tt.in == all {
				t.Fatal("nothing was changed")
			}
			got, err := testKeys(t).Decrypt([]byte(tt.in), nil)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("%+v, %v", got, err)
			}
			for _, secret := range []string{"correct horse", "abc", "ENC["} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error shows a value: %v", err)
				}
			}
		})
	}
}

func dropLine(text, begin string) string {
	var out []string
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, begin) {
			out = append(out, line)
		}
	}
	return strings.Join(out, "")
}

func TestKeys(t *testing.T) {
	if _, err := (Keys{}).Decrypt(read(t, "regex.yaml"), nil); err == nil || !strings.Contains(err.Error(), "none of the age keys") {
		t.Error(err)
	}
	for want, data := range map[string]map[string][]byte{
		"no key of it ends in .agekey": {"key": []byte("AGE-SECRET-KEY-1")}, "a.agekey holds no age key": {"a.agekey": []byte("AGE-SECRET-KEY-1SECRET")},
	} {
		if _, err := ParseKeys(data); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "SECRET-KEY-1S") {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func FuzzDecrypt(f *testing.F) {
	for _, name := range []string{"regex.yaml", "all.yaml", "mac-only.yaml", "suffix.json"} {
		f.Add(read(f, name))
	}
	keys := testKeys(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := keys.Decrypt(in, nil)
		if err == nil && bytes.Contains(got.Content, []byte("\nsops:")) && bytes.Count(in, []byte("sops")) < 2 {
			t.Errorf("the section is left in\n%s", got.Content)
		}
	})
}
