package shell

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/services/runner/internal/toolbox"
	"github.com/towline/towline/services/runner/internal/toolbox/tmpdir"
)

// Everything that a script does below /tmp happens in the job's own directory:
// redirections, tests, globs, cd, scripts, built-in commands and programs.
func TestTmpIsTheJobsOwn(t *testing.T) {
	folders, err := folder()
	if err != nil {
		t.Fatal(err)
	}
	own, project := t.TempDir(), t.TempDir()
	tools, err := toolbox.New(toolbox.Config{TempDir: t.TempDir(), Folders: []string{folders}, Tmp: tmpdir.New(own, project)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tools.Close() })
	shell, err := New(tools)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{shell: shell, folders: []string{folders}}
	got := b.runIn(t.Context(), t, project, `set -eu
echo one > /tmp/towline-test-a
[ -f /tmp/towline-test-a ] && [[ -w /tmp/towline-test-a ]] && test -s /tmp/towline-test-a && echo there
cat /tmp/towline-test-a; grep -c one </tmp/towline-test-a; echo two | tee -a /tmp/towline-test-a >/dev/null
sort /tmp/towline-test-a | base64 -w0 > /tmp/towline-test-b; base64 -d /tmp/towline-test-b
for f in /tmp/towline-test-*; do echo "$f"; done
cd /tmp && mkdir -p d && echo three > d/f && cat d/f && cat ./towline-test-a | wc -l
printf '#!/bin/sh\necho "script $1"\n' > /tmp/s.sh && chmod +x /tmp/s.sh && /tmp/s.sh 4 && sh /tmp/s.sh 5 && . /tmp/s.sh 6
export HOME=/tmp; cd ~ && ls d
rm -r /tmp/d && [ ! -e /tmp/d ] && echo gone
`)
	want := `there
one
1
one
two
/tmp/towline-test-a
/tmp/towline-test-b
three
2
script 4
script 5
script 6
f
gone
`
	if diff := cmp.Diff(want, got.out); diff != "" || got.code != 0 || got.errs != "" {
		t.Errorf("code %d, stderr %q\n%s", got.code, got.errs, diff)
	}
	if _, err := os.Stat("/tmp/towline-test-a"); err == nil {
		t.Error("the real /tmp was written to")
	}
	names, err := filepath.Glob(filepath.Join(own, "*"))
	if err != nil || !strings.Contains(strings.Join(names, " "), "towline-test-b") {
		t.Errorf("%v %v", names, err)
	}
}
