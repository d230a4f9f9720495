package syncer

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/syncspec"
)

func TestEncryptedSecretsAreNotSentAsTheyAre(t *testing.T) {
	content, err := os.ReadFile(filepath.FromSlash("../sops/testdata/regex.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var report syncspec.Report
	_, err = decrypted(t.Context(), nil, agentconfig.Manifests{}, []syncspec.File{{Path: "a.yaml", Content: []byte("a: 1")}, {Path: "s.yaml", Content: content}}, &report)
	if err == nil || err.Error() != "s.yaml: it is encrypted with SOPS; name the Secret with the age key in decrypt of the entry" {
		t.Error(err)
	}
	// What a controller in the cluster decrypts, and files that are no manifests.
	own := []syncspec.File{{Path: "c.yaml", Content: []byte(strings.ReplaceAll(string(content), "kind: Secret", "kind: SopsSecret"))}, {Path: "s.env", Content: content}}
	if out, err := decrypted(t.Context(), nil, agentconfig.Manifests{}, own, &report); err != nil || len(out) != 2 {
		t.Error(err)
	}
}

func TestSecretsAreNotSubstitutedIn(t *testing.T) {
	for _, secret := range []string{"${A}", "$${A}", "$${A:=x}", "a${A}b$${B}", "$", "${"} {
		if got := reference.ReplaceAllStringFunc(verbatim(secret), func(ref string) string { return strings.TrimPrefix(ref, "$") }); got != secret {
			t.Errorf("%s became %s", secret, got)
		}
	}
}
