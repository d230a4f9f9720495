package gitops

import (
	"context"
	"os"
	"strings"
	"testing"

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
`

func fixture(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Versions, encrypted files and tokens of groups, in one installation.
func TestSourcesOfEntries(t *testing.T) {
	own := t.TempDir() + "/token"
	sealed := fixture(t, "sops.yaml")
	b := open(t, ofSources, map[string]string{"versions/a.yaml": configMap("a", "x", "1.2.0"), "secrets/s.yaml": sealed}, "--gitops-tokens=acme/apps="+own)
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

	waiting := b.push(map[string]string{"README.md": "the key comes later"})
	if got := b.status("encrypted", waiting, "failed"); !strings.Contains(got, "decrypt: Secret "+b.namespace+"/sops-age: ") {
		t.Errorf("no key: %q", got)
	}
	secrets := b.kube.CoreV1().Secrets(b.namespace)
	_, err := secrets.Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "sops-age"}, StringData: map[string]string{"shop.agekey": fixture(t, "sops.agekey")}}, metav1.CreateOptions{})
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
