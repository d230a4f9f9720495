package gitops

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const ofSources = `
gitops:
  manifest_projects:
    - name: versions
      id: acme/apps/shop
      ref: {semver: ">=1.2.0 <2"}
      default_namespace: NAMESPACE
      paths: [{glob: "versions/*.yaml"}]
    - name: encrypted
      id: acme/apps/shop
      default_namespace: NAMESPACE
      paths: [{glob: "secrets/*.yaml"}]
      decrypt: {secret: sops-age}
      substitute: {vars: {HOST: shop.example.com}}
    - name: signed
      id: acme/apps/shop
      ref: {branch: signed}
      default_namespace: NAMESPACE
      paths: [{glob: "signed/*.yaml"}]
      verify: {signers: ["SIGNER"]}
`

func fixture(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// signer makes a key of SSH: its public part as people write it, and what signs
// commits with it as git does.
func signer(t *testing.T) (public string, sign func(commit []byte) (string, error)) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	by, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(by.PublicKey()))), func(commit []byte) (string, error) {
		sig, err := sshsig.Sign(bytes.NewReader(commit), by, sshsig.HashSHA512, "git")
		if err != nil {
			return "", err
		}
		return string(sshsig.Armor(sig)), nil
	}
}

// Versions, encrypted files and tokens of groups, in one installation.
func TestSourcesOfEntries(t *testing.T) {
	t.Parallel() // it waits for further looks at what has failed most of the time
	own := t.TempDir() + "/token"
	sealed := fixture(t, "sops.yaml")
	public, sign := signer(t)
	_, stranger := signer(t)
	b := open(t, strings.ReplaceAll(ofSources, "SIGNER", public), map[string]string{"versions/a.yaml": configMap("a", "x", "1.2.0"), "secrets/s.yaml": sealed}, "--gitops-tokens=acme/apps="+own)
	waitError(t, b, "the token for acme/apps of --gitops-tokens: open ") // the other token would do, and is not taken
	b.must(os.WriteFile(own, []byte(b.token), 0o600))

	waitError(t, b, "no version to follow: none of its 0 tags is a version in >=1.2.0 <2")
	tag := func(name string) { b.must(b.gitlab.CreateTag(shop, name, "main")) }
	tag("v1.2.0")
	b.eventually("the first version", func(context.Context) bool { return b.data("a")["x"] == "1.2.0" })
	b.push(map[string]string{"versions/a.yaml": configMap("a", "x", "2.0.0")})
	tag("v2.0.0")
	b.push(map[string]string{"versions/a.yaml": configMap("a", "x", "1.10.0")})
	tag("v1.10.0")
	b.eventually("the newest version in the range", func(context.Context) bool { return b.data("a")["x"] == "1.10.0" })

	good, err := b.gitlab.PushSigned(shop, "signed", map[string]string{"signed/a.yaml": configMap("signed", "x", "1")}, sign)
	b.must(err)
	b.status("signed", good, "success")
	other, err := b.gitlab.PushSigned(shop, "signed", map[string]string{"signed/a.yaml": configMap("signed", "x", "2")}, stranger)
	b.must(err)
	if got := b.status("signed", other, "failed"); !strings.HasPrefix(got, fmt.Sprintf("commit %.8s is not taken: its signature is of nobody in verify.signers", other)) || b.data("signed")["x"] != "1" {
		t.Errorf("signed by a stranger: %q", got)
	}
	unsigned, err := b.gitlab.Push(shop, "signed", map[string]string{"signed/a.yaml": configMap("signed", "x", "3")})
	b.must(err)
	if got := b.status("signed", unsigned, "failed"); !strings.Contains(got, "it is not signed") || b.data("signed")["x"] != "1" {
		t.Errorf("not signed: %q", got)
	}

	waiting := b.push(map[string]string{"README.md": "the key comes later"})
	if got := b.status("encrypted", waiting, "failed"); !strings.Contains(got, "decrypt: Secret "+b.namespace+"/sops-age: ") {
		t.Errorf("no key: %q", got)
	}
	secrets := b.kube.CoreV1().Secrets(b.namespace)
	_, err = secrets.Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "sops-age"}, StringData: map[string]string{"shop.agekey": fixture(t, "sops.agekey")}}, metav1.CreateOptions{})
	b.must(err)
	b.status("encrypted", b.push(map[string]string{"README.md": "the key is there"}), "success")
	got, err := secrets.Get(t.Context(), "encrypted", metav1.GetOptions{})
	b.must(err)
	if password := string(got.Data["password"]); password != "correct horse ${HOST}" {
		t.Errorf("password %q", password)
	}
	changed := b.push(map[string]string{"secrets/s.yaml": strings.Replace(sealed, "name: encrypted", "name: copied", 1)})
	if got := b.status("encrypted", changed, "failed"); !strings.HasPrefix(got, "secrets/s.yaml: SOPS: its message authentication code is wrong") {
		t.Errorf("a file that was changed: %q", got)
	}
	refused := b.push(map[string]string{"secrets/s.yaml": fixture(t, "sops-invalid.yaml")})
	if got := b.status("encrypted", refused, "failed"); !strings.Contains(got, "metadata.labels") || !strings.Contains(got, "[redacted]") || strings.Contains(got, "battery") {
		t.Errorf("a message with a secret: %q", got)
	}
}
