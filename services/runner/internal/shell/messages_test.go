package shell

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMessagesOfTheShellAreThoseOfBash(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Fatal("these tests need bash; on Debian or Ubuntu: apt-get install bash")
	}
	b := boxed(t)
	for name, script := range map[string]string{
		"unset variable":            "set -u\necho a\necho \"$NOT_SET\"",
		"unset in an assignment":    "set -u\n\nx=${NOT_SET}\necho never",
		"unset in a function":       "set -u\nf() {\n  echo in >/dev/null\n  echo $NOT_SET\n}\necho x\nf",
		"unset in a subshell":       "set -u\n(echo $nope)\ntrue\necho $nope",
		"unset before replacing":    "set -u\ntrue\necho ${nope/#a/b}",
		"required variable":         "true\n: \"${TOKEN:?set it in the settings}\"",
		"setting what is read-only": "readonly r=1\ntrue\nr=2",
		"setting one in a function": "readonly r=1\nf() {\n  r=2\n}\nf",
		"indirection to nothing":    "unset n\necho ${!n:-x}",
		"indirection to no name":    "n='a b'\ntrue\necho ${!n}",
		"indirection to unset":      "set -u\nn=a\ntrue\necho ${!n}",
		"required indirection":      "n=a\n: ${!n:?gone}",
		"required without message":  "true\n: ${n?}",
		"text that looks like one":  "echo 'x: unbound variable' >&2\necho -e 'cd: no\\nread: no' >&2",
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "script")
			if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), bash, file)
			cmd.Dir, cmd.Env = t.TempDir(), []string{"LC_ALL=C"}
			var want strings.Builder
			cmd.Stderr = &want
			_ = cmd.Run() // most of the scripts fail
			if diff := cmp.Diff(strings.ReplaceAll(want.String(), file+":", "bash:"), b.run(t, script).errs); diff != "" {
				t.Errorf("%s\nbash says (-), this shell (+):\n%s", script, diff)
			}
		})
	}
}
