package sandbox

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestLimitsOfAProcess(t *testing.T) {
	t.Parallel()
	c := newCell(t)
	c.Limits = Limits{Memory: 768 << 20, FileSize: 4 << 20, Processes: 4000}
	sh := func(script string) []string {
		return []string{c.tool("busybox"), "sh", "-c", strings.ReplaceAll(script, "B ", c.tool("busybox")+" ")}
	}
	table := []struct {
		script string
		says   string
	}{
		{"ulimit -c; ulimit -n; ulimit -u", "0\n4096\n4000\n"},
		{"B head -c 9000000 /dev/zero > f; echo code $?; B wc -c < f", "code 1\n4194304\n"},
		{"B dd if=/dev/zero of=d bs=1M count=9", "File too large"},
		{"B truncate -s 10G s; echo code $?", "File too large\ncode 1\n"},
		{"B dd if=/dev/zero of=seek bs=1 count=1 seek=10G", "File too large"},
		{"B tail -c 900000000 /dev/zero; echo code $?", "out of memory\ncode 1\n"},
		{"x=xxxxxxxx; while :; do x=$x$x; done", "out of memory"},
		{"f() { f; }; f", ""}, // endless recursion ends, somehow
	}
	commands := make([][]string, 0, len(table))
	for _, row := range table {
		commands = append(commands, sh(row.script))
	}
	for i, o := range c.start(t, commands...) {
		if !strings.Contains(o.Says, table[i].says) {
			t.Errorf("%s: %+v", table[i].script, o)
		}
	}
}

// TestAForkBombIsHeldByTheLimit: as a user to whom the kernel applies it.
func TestAForkBombIsHeldByTheLimit(t *testing.T) {
	t.Parallel()
	c := newCell(t)
	const uid = 61234 // nobody else's
	for _, dir := range []string{c.ProjectDir, c.TempDir} {
		must(t, os.Chmod(dir, 0o777))
	}
	base := filepath.Dir(c.toolbox)
	for _, dir := range []string{base, filepath.Dir(base)} { // both are this test's
		must(t, os.Chmod(dir, 0o755))
	}
	c.Limits = Limits{Processes: 100}
	c.credential = &syscall.Credential{Uid: uid, Gid: uid}
	if os.Getuid() != 0 {
		c.credential, c.Limits.Processes = nil, 1 // of this user, who has more already
	}
	bomb := strings.ReplaceAll("pids=; trap 'kill $pids' EXIT; i=0; while [ $((i+=1)) -le 200 ]; do B sleep 60 >/dev/null 2>&1 & pids=\"$pids $!\"; done; echo over", "B ", c.tool("busybox")+" ")
	o := c.start(t, []string{c.tool("busybox"), "sh", "-c", bomb})[0]
	if strings.Contains(o.Says, "over") || !strings.Contains(o.Says, "can't fork") && !strings.Contains(o.Says, "temporarily unavailable") {
		t.Errorf("%+v", o)
	}
}
