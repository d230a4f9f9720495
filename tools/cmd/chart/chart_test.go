package main

import (
	"bytes"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	ggcr "github.com/google/go-containerregistry/pkg/registry"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/provenance"
	"helm.sh/helm/v3/pkg/registry"
)

// version is that of the sample.
const version = "1.2.3"

func noEnv(string) string { return "" }

// sample is a chart's directory with what does not belong into the package.
func sample(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "sample")
	for name, content := range map[string]string{
		"Chart.yaml":        "apiVersion: v2\nname: sample\nversion: " + version + "\nannotations: {artifacthub.io/changes: '- first'}\n",
		"values.yaml":       "a: 1 # kept\n",
		"templates/cm.yaml": "kind: ConfigMap\n",
		"tests/cm.yaml":     "suite: x\n",
		".helmignore":       "tests/\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// keyring is a file with a new secret key.
func keyring(t *testing.T, name, passphrase string) string {
	t.Helper()
	e, err := openpgp.NewEntity(name, "", name+"@example.com", &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if passphrase != "" {
		if err := e.PrivateKey.Encrypt([]byte(passphrase)); err != nil {
			t.Fatal(err)
		}
		err = e.SerializePrivateWithoutSigning(&out, nil)
	} else {
		err = e.SerializePrivate(&out, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "keyring.gpg")
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// The same source gives the same package, and a registry has it with its
// signature, which Helm verifies.
func TestPackageTwiceSignAndPush(t *testing.T) {
	srv := httptest.NewServer(ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0))))
	defer srv.Close()
	place := strings.TrimPrefix(srv.URL, "http://") + "/charts"
	keys, out := keyring(t, "release", ""), t.TempDir()
	var said bytes.Buffer
	args := []string{"--chart=" + sample(t), "--out=" + out, "--push=" + place + "/", "--key=release", "--keyring=" + keys}
	if err := run(args, noEnv, &said); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(said.String(), "pushed oci://"+place+"/sample:"+version+"@sha256:") {
		t.Errorf("it says:\n%s", &said)
	}
	file := filepath.Join(out, "sample-"+version+".tgz")
	first, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	again, err := makePackage(sample(t), parsed(t).created)
	if err != nil || !bytes.Equal(first, again.archive) {
		t.Errorf("two packages of the same source differ (%v)", err)
	}

	verifier, err := provenance.NewFromKeyring(keys, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := verifier.Verify(file, file+".prov"); err != nil {
		t.Errorf("Helm does not accept the signature: %v", err)
	}

	client, err := registry.NewClient(registry.ClientOptPlainHTTP(), registry.ClientOptWriter(io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	got, err := client.Pull(place+"/sample:"+version, registry.PullOptWithProv(true))
	if err != nil {
		t.Fatal(err)
	}
	prov, err := os.ReadFile(file + ".prov")
	if err != nil || !bytes.Equal(got.Chart.Data, first) || !bytes.Equal(got.Prov.Data, prov) {
		t.Errorf("the registry has another package or signature (%v)", err)
	}
	checkFiles(t, got.Chart.Data)
}

func parsed(t *testing.T) *options {
	t.Helper()
	o, err := parse(nil, noEnv)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func checkFiles(t *testing.T, archive []byte) {
	t.Helper()
	c, err := loader.LoadArchive(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, f := range c.Raw {
		files[f.Name] = string(f.Data)
	}
	if files["values.yaml"] != "a: 1 # kept\n" || files["tests/cm.yaml"] != "" || c.Metadata.Annotations["artifacthub.io/changes"] != "- first" {
		t.Errorf("the package has %v, annotations %v", files, c.Metadata.Annotations)
	}
}

func TestWhatCannotBeSigned(t *testing.T) {
	locked := keyring(t, "release", "secret")
	passphrase := filepath.Join(t.TempDir(), "passphrase")
	if err := os.WriteFile(passphrase, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "sample-"+version+".tgz")
	p, err := makePackage(sample(t), parsed(t).created)
	if err != nil {
		t.Fatal(err)
	}
	if err := write(file, p.archive); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		sign signature
		want string // of the error; empty: none
	}{
		"another key":           {signature{key: "other", keyring: locked}, `has no key with "other"`},
		"no passphrase":         {signature{key: "release", keyring: locked}, "give --passphrase-file"},
		"no such keyring":       {signature{key: "release", keyring: "none"}, "--keyring=none: "},
		"with its passphrase":   {signature{key: "release", keyring: locked, passphraseFile: passphrase}, ""},
		"with a keyring's name": {signature{key: "release", keyring: locked, passphraseFile: "none"}, "none: no such file"},
	} {
		_, err := c.sign.of(file)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestOptions(t *testing.T) {
	if _, err := parse([]string{"--key=release"}, noEnv); err == nil || !strings.Contains(err.Error(), "belong together") {
		t.Errorf("a key without a keyring: %v", err)
	}
	if _, err := parse(nil, func(string) string { return "yesterday" }); err == nil || !strings.Contains(err.Error(), "SOURCE_DATE_EPOCH") {
		t.Errorf("a date that is none: %v", err)
	}
	o, err := parse(nil, func(string) string { return "1700000000" })
	if err != nil || o.created.Unix() != 1700000000 {
		t.Errorf("%+v, %v", o, err)
	}
	p := &pkg{name: "sample", version: version}
	if _, err := p.push("not a registry", o.created); err == nil || !strings.Contains(err.Error(), "--push: ") {
		t.Errorf("error = %v", err)
	}
}
