package syncs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What is not signed, or not what was signed, never becomes a task.
func TestOnlySignedFilesBecomeATask(t *testing.T) {
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join("..", "gitobject", "testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	const bySSH, byPGP, none = "e2ef893943d78bfd222dff3e3bf55282aeee1138", "72f728c48338bf725d3eb903618891872be23d53", "6f283119766fc144926ef874f48b3d21e6ad4682"
	jane, joe := read("jane.pub"), read("joe.asc")
	signed := map[string]string{"k8s/a.yaml": "a: 1\n", "k8s/deep/b.yaml": "b: 1\n"}
	for name, tt := range map[string]struct {
		head, pack string
		signers    []string
		files      map[string]string
		want       string
	}{
		"SSH":             {bySSH, "ssh", []string{jane}, signed, ""},
		"OpenPGP":         {byPGP, "pgp", []string{jane, joe}, map[string]string{"k8s/a.yaml": "a: 2\n", "k8s/deep/b.yaml": "b: 1\n"}, ""},
		"unsigned":        {none, "none", []string{jane}, signed, "commit 6f283119 is not taken: it is not signed"},
		"a stranger":      {bySSH, "ssh", []string{joe}, signed, "commit e2ef8939 is not taken: its signature is of nobody in verify.signers"},
		"another commit":  {none, "ssh", []string{jane}, signed, "commit 6f283119 is not taken: GitLab did not send the commit"},
		"a file changed":  {bySSH, "ssh", []string{jane}, map[string]string{"k8s/a.yaml": "a: 666\n", "k8s/deep/b.yaml": "b: 1\n"}, "commit e2ef8939 is not taken: k8s/a.yaml in the archive is not the file of the commit"},
		"a file left out": {bySSH, "ssh", []string{jane}, map[string]string{"k8s/a.yaml": "a: 1\n"}, "commit e2ef8939 is not taken: k8s/deep/b.yaml is in the commit, and not in the archive"},
		"a file added":    {bySSH, "ssh", []string{jane}, map[string]string{"k8s/a.yaml": "a: 1\n", "k8s/deep/b.yaml": "b: 1\n", "k8s/c.yaml": ""}, "commit e2ef8939 is not taken: k8s/c.yaml is in the archive"},
		"no key":          {bySSH, "ssh", []string{"ssh-ed25519 AAAA"}, signed, "verify.signers[0] is no public key"},
	} {
		t.Run(name, func(t *testing.T) {
			m := shop
			m.Globs, m.Signers = []string{"k8s/**/*.yaml"}, tt.signers
			b := open(t, m)
			b.world.head, b.world.pack, b.world.files = tt.head, []byte(read(tt.pack+".pack")), tt.files
			b.follower("t1").step(t.Context())
			_, _, err := b.ledger.ClaimSync(t.Context(), "shop", "runner", followFor)
			if (err == nil) != (tt.want == "") {
				t.Errorf("claimed: %v", err)
			}
			if last := b.world.statuses[len(b.world.statuses)-1]; !strings.Contains(last, tt.want) || strings.Contains(last, "pending") != (tt.want == "") {
				t.Error(last)
			}
		})
	}
}
