package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// programsEnv makes this test binary a confined process that starts programs.
const programsEnv = "TOWLINE_TEST_PROGRAMS"

// programs is what such a process is asked to start.
type programs struct {
	Config   Config
	Commands [][]string
}

// outcome is what became of one of them.
type outcome struct {
	Code int    // -1: it was not started
	Says string // output, or why it was not started
}

// runPrograms is the confined process; it answers on standard output.
func runPrograms(text string) int {
	var p programs
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	if err := Enter(p.Config); err != nil {
		fmt.Fprintln(os.Stderr, "enter:", err)
		return 3
	}
	answers := json.NewEncoder(os.Stdout)
	for _, c := range p.Commands {
		cmd := exec.Command(c[0], c[1:]...)
		out, err := cmd.CombinedOutput()
		o := outcome{Says: string(out)}
		if exit := new(exec.ExitError); errors.As(err, &exit) {
			o.Code = exit.ExitCode()
		} else if err != nil {
			o.Code, o.Says = -1, err.Error()
		}
		_ = answers.Encode(o)
	}
	return 0
}

// cell is a toolbox, the directories of a job, and things it must not reach.
type cell struct {
	Config
	toolbox string
	outside string // a file that is not the job's

	credential *syscall.Credential // of the confined process, if not the test's
}

// attackerProgram is built once for all tests.
var attackerProgram = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "attacker")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	cmd := exec.Command("go", "build", "-o", filepath.Join(dir, "attacker"), "./attacker")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the attacker: %w\n%s", err, out)
	}
	return os.ReadFile(filepath.Join(dir, "attacker"))
})

func newCell(t *testing.T) *cell {
	t.Helper()
	if _, err := Check(); err != nil {
		t.Fatal(err)
	}
	base := t.TempDir()
	path := func(name string) string { return filepath.Join(base, name) }
	c := &cell{toolbox: path("toolbox"), outside: path("outside")}
	c.Config = Config{Mode: ModeEnforce, ProjectDir: path("job/p"), TempDir: path("job/t"), Toolbox: []string{c.toolbox}}
	for _, dir := range []string{c.toolbox, c.ProjectDir, c.TempDir} {
		must(t, os.MkdirAll(dir, 0o755))
	}
	attacker, err := attackerProgram()
	must(t, err)
	must(t, os.WriteFile(c.tool("attacker"), attacker, 0o755))
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Fatalf("%v: install the package busybox-static", err)
	}
	must(t, os.WriteFile(c.tool("busybox"), busybox, 0o755))
	must(t, os.WriteFile(c.outside, []byte("secret"), 0o666))
	return c
}

func (c *cell) tool(name string) string { return filepath.Join(c.toolbox, name) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// start starts programs in a confined process and returns what became of them.
func (c *cell) start(t *testing.T, commands ...[]string) []outcome {
	t.Helper()
	text, err := json.Marshal(programs{Config: c.Config, Commands: commands})
	must(t, err)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{programsEnv + "=" + string(text)}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: c.credential}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	watchdog := time.AfterFunc(time.Minute, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	defer watchdog.Stop()
	var out []outcome
	for answers := json.NewDecoder(stdout); ; {
		var o outcome
		if err := answers.Decode(&o); err != nil {
			if !errors.Is(err, io.EOF) {
				t.Error(err)
			}
			break
		}
		out = append(out, o)
	}
	if err := cmd.Wait(); err != nil || len(out) != len(commands) {
		t.Fatalf("%d of %d answers, %v\n%s", len(out), len(commands), err, stderr.String())
	}
	return out
}

// TestNothingAttackedIsReached: a program of the toolbox that makes any system
// call it likes.
func TestNothingAttackedIsReached(t *testing.T) {
	t.Parallel()
	c := newCell(t)
	pid := fmt.Sprint(os.Getpid())
	elsewhere := fmt.Sprintf("127.0.0.1:%d", listen(t))
	dropped := filepath.Join(c.ProjectDir, "dropped")
	busybox, err := os.ReadFile(c.tool("busybox"))
	must(t, err)
	must(t, os.WriteFile(dropped, busybox, 0o755))
	attacks := [][]string{
		{"read", c.outside},
		{"list", filepath.Dir(c.outside)},
		{"write", c.outside},
		{"write", c.tool("new")},
		{"write", c.tool("busybox")},
		{"hardlink", c.outside},
		{"hardlink", c.tool("busybox")},
		{"symlink", c.outside},
		{"rename", c.outside},
		{"rename", c.tool("busybox")},
		{"handle", c.outside},
		{"chroot", c.ProjectDir},
		{"mount", c.ProjectDir},
		{"device", c.ProjectDir},
		{"socket-file", c.ProjectDir},
		{"read", "/etc/passwd"},
		{"read", "/etc/shadow"},
		{"list", "/"},
		{"list", "/proc"},
		{"list", "/dev"},
		{"exec", dropped, "true"},
		{"exec", "/bin/busybox", "true"},
		{"execveat", dropped},
		{"execveat", c.tool("busybox")},
		{"exec-fd", dropped},
		{"memfd", c.tool("busybox")},
		{"map-file", dropped},
		{"map-file", c.tool("busybox")},
		{"map-anonymous"},
		{"protect"},
		{"personality"},
		{"shared-memory"},
		{"connect", elsewhere},
		{"fastopen", elsewhere},
		{"multipath", elsewhere},
		{"udp", elsewhere},
		{"unix"},
		{"netlink"},
		{"raw"},
		{"datagram"},
		{"bind"},
		{"listen"},
		{"io_uring"},
		{"environ", pid},
		{"environ", "self"},
		{"cmdline", pid},
		{"mem", pid},
		{"mem", "self"},
		{"ptrace", pid},
		{"readv", pid},
		{"pidfd-getfd", pid},
		{"signal-all"},
		{"limit", pid},
		{"nice", pid},
		{"nice-user"},
		{"affinity", pid},
		{"setsid"},
		{"setpgid"},
		{"child-setsid"},
		{"unshare"},
		{"clone"},
		{"clone3"},
		{"bpf"},
		{"setuid"},
		{"undumpable"},
		{"fewer-kills"},
	}
	if abi, _ := Check(); abi >= 6 {
		attacks = append(attacks, []string{"signal", pid})
	}
	var commands [][]string
	for _, a := range attacks {
		commands = append(commands, append([]string{c.tool("attacker")}, a...))
	}
	for i, o := range c.start(t, commands...) {
		if o.Code != 0 || !strings.HasPrefix(o.Says, "denied: ") {
			t.Errorf("%v: code %d, %s", attacks[i], o.Code, o.Says)
		}
	}
	if b, err := os.ReadFile(c.outside); err != nil || string(b) != "secret" {
		t.Errorf("outside: %q, %v", b, err)
	}
}

// TestTheAttackerIsNotHarmless: what is refused above works without a sandbox,
// or the test above would prove nothing.
func TestTheAttackerIsNotHarmless(t *testing.T) {
	t.Parallel()
	c := newCell(t)
	elsewhere := fmt.Sprintf("127.0.0.1:%d", listen(t))
	for _, attack := range [][]string{
		{"read", c.outside},
		{"hardlink", c.outside},
		{"symlink", c.outside},
		{"exec", c.tool("busybox"), "true"},
		{"exec-fd", c.tool("attacker"), "setpgid"},
		{"map-file", c.outside},
		{"map-anonymous"},
		{"protect"},
		{"personality"},
		{"shared-memory"},
		{"connect", elsewhere},
		{"fastopen", elsewhere},
		{"udp", elsewhere},
		{"unix"},
		{"datagram"},
		{"bind"},
		{"listen"},
		{"environ", "self"},
		{"signal-all"},
		{"limit", fmt.Sprint(os.Getpid())},
		{"setpgid"},
		{"child-setsid"},
		{"undumpable"},
	} {
		cmd := exec.Command(c.tool("attacker"), attack...)
		cmd.Env = []string{"TMPDIR=" + t.TempDir()}
		if out, _ := cmd.CombinedOutput(); attack[0] != "exec-fd" && !strings.HasPrefix(string(out), "ESCAPED: ") {
			t.Errorf("%v: %s", attack, out)
		}
	}
	memfd := exec.Command(c.tool("attacker"), "memfd", c.tool("attacker"))
	if out, _ := memfd.CombinedOutput(); !strings.HasPrefix(string(out), "attacks: ") { // it has become its copy, which gives its usage
		t.Errorf("memfd: %s", out)
	}
}

// TestToolsRun: programs of the toolbox do what scripts expect of them.
func TestToolsRun(t *testing.T) {
	t.Parallel()
	c := newCell(t)
	b := c.tool("busybox")
	must(t, os.WriteFile(filepath.Join(c.ProjectDir, "f"), []byte("b\na\n"), 0o644))
	sh := func(script string) []string { return []string{b, "sh", "-c", strings.ReplaceAll(script, "B ", b+" ")} }
	table := []struct {
		command []string
		code    int
		says    string
	}{
		{[]string{b, "sort", "f"}, 0, "a\nb\n"},
		{[]string{b, "env"}, 0, "HOME="},
		{sh("B seq 3 | B tail -n1 > g; B cat g /dev/stdin < f"), 0, "3\nb\na\n"},
		{sh("B timeout 5 " + b + " echo hi"), 0, "hi\n"},
		{sh("B timeout 1 " + b + " sleep 20; echo $?"), 0, "143\n"},
		{sh("B find . -name f -exec " + b + " grep -c . {} \\;"), 0, "2\n"},
		{sh("echo a b | B xargs -n1 " + b + " echo"), 0, "a\nb\n"},
		{sh("B tar cf a.tar f; B mkdir d; B tar xf a.tar -C d; B cat d/f"), 0, "b\na\n"},
		{sh("B sleep 20 & kill $!; wait $!; echo $?"), 0, "143\n"},
		{sh("B setsid " + b + " echo out"), 0, "out\n"},
		{sh("B head -c 16 /dev/urandom | B wc -c"), 0, "16\n"},
		{sh("B date +%Y >/dev/null && echo ok"), 0, "ok\n"},
		{sh("TZ=Europe/Nowhere B date +%Z >/dev/null && echo ok"), 0, "ok\n"},
		{sh("B mkfifo q; echo through > q & B cat q"), 0, "through\n"},
		{sh("ulimit -n"), 0, "4096\n"},
		// Its own exec, and those of its commands, reach no other program.
		{sh("B cp " + b + " mine; chmod +x mine; ./mine true"), 126, "ermission denied"},
		{sh("B env /bin/true"), 126, "ermission denied"},
		{sh("B awk 'BEGIN { exit system(\"/bin/true\") }'"), 127, ""},
		{sh("printf '#!/bin/sh\\necho in\\n' > s; chmod +x s; ./s"), 126, ""},
		{sh("printf '#!" + b + " sh\\necho in\\n' > s; chmod +x s; ./s"), 126, ""}, // not the file that is executed
		{sh("B cat /proc/self/environ"), 1, "ermission denied"},
		{sh("B cat " + c.outside), 1, "ermission denied"},
		{sh("B ln -s " + c.outside + " l; B cat l"), 1, "ermission denied"},
	}
	commands := make([][]string, 0, len(table))
	for _, row := range table {
		commands = append(commands, row.command)
	}
	for i, o := range c.start(t, commands...) {
		if o.Code != table[i].code || !strings.Contains(o.Says, table[i].says) {
			t.Errorf("%q: code %d, %q", table[i].command, o.Code, o.Says)
		}
	}
}

// TestWithoutAToolboxNothingRuns is the state of a runner that has none.
func TestWithoutAToolboxNothingRuns(t *testing.T) {
	t.Parallel()
	c := newCell(t)
	c.Toolbox = nil
	if o := c.start(t, []string{c.tool("busybox"), "true"})[0]; o.Code != -1 || !strings.Contains(o.Says, "permission denied") {
		t.Errorf("%+v", o)
	}
}

func TestAToolboxThatJobsCanWriteIsRefused(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	for _, dir := range []string{"job/p/bin", "job/t", "tools"} {
		must(t, os.MkdirAll(filepath.Join(base, dir), 0o755))
	}
	must(t, os.Symlink(filepath.Join(base, "job/p/bin"), filepath.Join(base, "link")))
	path := func(name string) string { return filepath.Join(base, name) }
	for name, want := range map[string]bool{"tools": true, "job/p": false, "job/p/bin": false, "job": false, "job/t": false, "link": false, "none": false} {
		err := (Config{ProjectDir: path("job/p"), TempDir: path("job/t"), Toolbox: []string{path("tools"), path(name)}}).checkToolbox()
		if (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAllowedPortsOnly is about programs; the process itself is tested above.
func TestAllowedPortsOnly(t *testing.T) {
	t.Parallel()
	c := newCell(t)
	port := listen(t)
	c.Ports = []uint16{uint16(port)}
	got := c.start(t, []string{c.tool("attacker"), "connect", net.JoinHostPort("127.0.0.1", fmt.Sprint(port))})[0]
	if !strings.HasPrefix(got.Says, "ESCAPED: connect") { // which is what it says of every success
		t.Errorf("%+v", got)
	}
}
