package toolbox

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// folder makes a toolbox folder from the machine's busybox.
func folder(t *testing.T) string {
	t.Helper()
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal("this test needs a static busybox; on Debian or Ubuntu: apt-get install busybox-static")
	}
	dir := filepath.Join(t.TempDir(), "toolbox")
	tools, err := New(Config{TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	call := filepath.Join(t.TempDir(), "call")
	if err := os.WriteFile(call, []byte("never called here"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := MakeFolder(dir, busybox, call, tools.BuiltIn()); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestOptionsThatBusyboxLacksAreCarriedOutHere(t *testing.T) {
	dir := folder(t)
	tools, work := box(t, dir), t.TempDir()
	for _, c := range []struct{ line, stdin, out string }{
		{`grep -oP a=\K\d+`, "a=12\n", "12\n"},
		{"grep -o a=[0-9]*", "a=12\n", "a=12\n"},
		{`xargs -d \n -n1 echo`, "one\ntwo words\n", "one\ntwo words\n"},
		{"xargs -d, echo", "a,b", "a b\n"},
		{"xargs -n 1 echo", "a b", "a\nb\n"},
		{"xargs --delimiter=: -n 2 echo", "a:b:c:", "a b\nc\n"},
		{"xargs -L1 echo", "a b\n\n c\n", "a b\nc\n"},
		{"xargs --max-lines=2 -r echo", "a b\nc\nd", "a b c\nd\n"},
		{"xargs -L 1 -d , echo", "a b,c", "a b\nc\n"},
		{"grep --only-matching --max-count=1 a.", "ab\nac\n", "ab\n"},
		{"sort --unique", "b\na\nb\n", "a\nb\n"},
		{"realpath --relative-to=/usr /usr/bin/..", "", ".\n"},
		{"date -u -d @0 +%F", "", "1970-01-01\n"},
		{"mkdir -p d/.git d/e x", "", ""},
		{"tee d/a d/e/b d/.git/c", "text\n", "text\n"},
		{"tar czf p.tgz --exclude=.git --mtime=@0 d", "", ""},
		{"tar -C x -xvzf p.tgz --strip-components=1 --wildcards */e", "", "d/e/\nd/e/b\n"},
		{"grep -r text --include=b x", "", "x/e/b:text\n"},
		{"tar tf p.tgz", "", "d/\nd/a\nd/e/\nd/e/b\n"},
	} {
		if out, errs, code := run(t, tools, work, c.stdin, c.line); out != c.out || errs != "" || code != 0 {
			t.Errorf("%s: exit %d, stdout %q, want %q, stderr %q", c.line, code, out, c.out, errs)
		}
	}
	if at, ok := tools.Find("grep"); !ok || at.Path != filepath.Join(dir, "grep") {
		t.Errorf("grep is at %q", at.Path)
	}
}

// TestPrefixesEndAsGNUs compares the exit code and the output with the programs
// of this machine.
func TestPrefixesEndAsGNUs(t *testing.T) {
	dir := folder(t)
	tools, work := box(t, dir), t.TempDir()
	if err := errors.Join(os.WriteFile(filepath.Join(work, "up"), []byte("1\n2\n10\n"), 0o600), os.Mkdir(filepath.Join(work, "d"), 0o700)); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"timeout 3 tail -f up", "timeout --preserve-status 0.1 sleep 60", "timeout --preserve-status -s INT 0.1 sleep 60", "timeout -s KILL --preserve-status 0.1 sleep 60",
		"timeout --preserve-status 20 grep -c 3 up", "timeout --preserve-status 20 cat up", "timeout --preserve-status",
		"env -C d pwd", "env --chdir=d A=1 pwd -P", "env -C nope pwd", "env -C up pwd", "env -C d", "env -S cat up", "env -Scat up", "env --split-string=cat up", "env -i -S A=1 env", "env -S -i env", "env -C d nope",
		"sort -C up", "sort -n -C up", "sort -nC up", "sort --check=quiet up", "sort --check=silent --numeric-sort up", "sort -C nope", "sort -C -k 1,1n -t : up", "sort -C -u -n up", "sort -C up up", "sort -c -n up",
	} {
		words := strings.Fields(line)
		cmd := exec.CommandContext(t.Context(), words[0], words[1:]...)
		var stdout, stderr bytes.Buffer
		cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = work, []string{"LC_ALL=C", "PATH=" + SearchPath(nil)}, &stdout, &stderr
		var exit *exec.ExitError
		if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		want := cmd.ProcessState.ExitCode()
		if want < 0 {
			want = bySignal + int(exit.Sys().(syscall.WaitStatus).Signal())
		}
		wantOut := strings.ReplaceAll(stdout.String(), "LC_ALL=C\nPATH="+SearchPath(nil)+"\n", "")
		out, errs, code := run(t, tools, work, "", line)
		out = regexp.MustCompile("TOWLINE_CALL=.*\n").ReplaceAllString(out, "")
		if code != want || out != wantOut || (errs == "") != (stderr.Len() == 0) && !strings.Contains(line, "KILL") {
			t.Errorf("%s: exit %d, stdout %q, stderr %q; GNU: exit %d, stdout %q, stderr %q", line, code, out, errs, want, wantOut, &stderr)
		}
	}
}

// TestFindPrintfAsGNUs compares lines in any order.
func TestFindPrintfAsGNUs(t *testing.T) {
	tools, work := box(t, folder(t)), t.TempDir()
	if err := errors.Join(os.MkdirAll(work+"/d/sub/deep", 0o750), os.WriteFile(work+"/d/a.txt", []byte("text"), 0o640), os.WriteFile(work+"/d/sub/b.o", nil, 0o600), os.Symlink("a.txt", work+"/d/l"), os.Symlink("gone", work+"/d/g")); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		`find d -printf %p\n`, `find ./d -printf %f|%h|%s|%P|%y\n`, `find -printf %p|%P|%d|%H\n`, `find d/sub d/l -name *.o -printf %T@|%p|%P|%H|%d\n`, `find ./d/ -printf %p|%P|%d\n`, `find d/a.txt -printf %p|%h|%f|%P|%m\n`, `find . -maxdepth 0 -printf %p|%h|%f|%P\n`,
		`find d -type l -printf %l\t%y%%\n`, `find -L d -printf %y|%s|%p\n`, `find d -type f ( -name a* -o -name b* ) -printf %f\n`, `find d nope -printf %f\n`, `find d -name nothing -printf %f\n`, `find d ! -type d -printf %p\n`,
	} {
		words := strings.Fields(line)
		cmd := exec.CommandContext(t.Context(), words[0], words[1:]...)
		cmd.Dir, cmd.Env = work, []string{"LC_ALL=C"}
		want, err := cmd.Output()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		sorted := func(s string) string { return strings.Join(slices.Sorted(strings.Lines(s)), "") }
		out, errs, code := run(t, tools, work, "", line)
		if code != cmd.ProcessState.ExitCode() || sorted(out) != sorted(string(want)) || (errs == "") != (code == 0) {
			t.Errorf("%s: exit %d, %q, stderr %q; GNU: %d, %q", line, code, sorted(out), errs, cmd.ProcessState.ExitCode(), sorted(string(want)))
		}
	}
	for _, line := range []string{`d -printf %q`, `d -printf`, `d -printf %p -print`, `d -printf %p -delete`, `d -printf %`, `d -printf \`, `d -printf %TY`, `d -print`, `d d/sub -printf %p`} {
		if printfWanted(strings.Fields(line)) {
			t.Errorf("find %s is wanted", line)
		}
	}
}

func FuzzFormat(f *testing.F) {
	for _, format := range []string{`%p\n`, `%T@ %y`, `%%\0`, `%T`, `\`} {
		f.Add(format)
	}
	f.Fuzz(func(t *testing.T, format string) {
		pieces, ok := parseFormat(format)
		for _, p := range pieces {
			if !ok || (p.tell == nil) == (p.text == "") {
				t.Errorf("%q: %v", format, pieces)
			}
		}
	})
}

func TestEveryCommandIsFoundByName(t *testing.T) {
	tools := box(t)
	names := tools.Names()
	for _, name := range strings.Fields("clear comm date flock hostname id install join nproc printenv reset split tput uuidgen wget whoami xargs") {
		out, _, code := run(t, tools, t.TempDir(), "", "which "+name)
		if !slices.Contains(names, name) || code != 0 || out != "/usr/bin/"+name+"\n" || wellKnown[name] {
			t.Errorf("%s: which says %q, exit %d", name, out, code)
		}
	}
}

func TestProgramsSeeTheWayOut(t *testing.T) {
	const proxy = "http://job:grant@127.0.0.1:9"
	tools := &Toolbox{way: wayOut(proxy)}
	got := tools.withWay([]string{"A=1", "https_proxy=http://mine"})
	inv := tool.Invocation{Environ: got}
	for name, want := range map[string]string{"A": "1", "HTTP_PROXY": proxy, "http_proxy": proxy, "https_proxy": "http://mine", "HTTPS_PROXY": "", "NO_PROXY": "localhost,127.0.0.1,::1"} {
		if value, _ := inv.Getenv(name); value != want {
			t.Errorf("%s=%q, want %q", name, value, want)
		}
	}
	if got := (&Toolbox{way: wayOut("")}).withWay([]string{"A=1"}); len(got) != 1 {
		t.Errorf("without a way out: %q", got)
	}
}
