package grep

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

type result struct {
	Code        int
	Out, Errors string
}

func here(t *testing.T, dir string, args []string, stdin string) result {
	t.Helper()
	var out, errs strings.Builder
	code := Run(t.Context(), tool.Invocation{
		Name: "grep", Args: args, Dir: dir, Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs,
		Run: func(ctx context.Context, inv tool.Invocation) int {
			cmd := exec.CommandContext(ctx, "busybox", append([]string{inv.Name}, inv.Args...)...)
			cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = inv.Dir, inv.Stdin, inv.Stdout, inv.Stderr
			var exit *exec.ExitError
			if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
				t.Errorf("%v; on Debian or Ubuntu: apt-get install busybox-static", err)
			}
			return cmd.ProcessState.ExitCode()
		},
	})
	return result{code, out.String(), errs.String()}
}

const input = `version: 1.2.3
image: registry.example.com/app:v1.2.3,other
tag=abc, tag=def
,a,b,c,d,
foofoo barfoo
"name": "towline", "id": 42
	tabbed  line
Version: 2

x=1 y=22 z=333
`

// same are command lines without a file; each is run on input.
var same = [][]string{
	{"-oP", `version: \K.*`},
	{"-P", `version: \K.*`},
	{"-oP", `\d+`},
	{"-oP", `(?<=version: )[\d.]+`},
	{"-oP", `(?<=tag=)\w+`},
	{"-oP", `(?<=,)[^,]+(?=,)`},
	{"-oP", `[a-z]+(?==\d)`},
	{"-oP", `"name":\s*"\K[^"]+(?=")`},
	{"-oP", `"id": \K\d+`},
	{"-oP", `foo`},
	{"-oP", `(?<=o)o|x`, "-e", "y"},
	{"-ciP", "version"},
	{"-P", "-v", `\w`},
	{"-qP", "nothing"},
	{"-nP", `^\s`},
	{"-P", `^\h+tab`},
	{"-oP", `\Qa,b\E.`},
	{"-oiP", "version"},
	{"-P", "-m", "1", "foo|ta"},
	{"-P", "-x", `,.*,`},
	{"-oPw", "foo"},
	{"-oPw", `y|x`},
	{"-P", "-A1", "-B1", "foofoo|version"},
	{"-P", "-C", "1", "-n", "tabbed"},
	{"-Pc", "."},
	{"--perl-regexp", "--only-matching", `v\d`},
	{"-oP", `x|a\Kb`},
	{"-oP", `(?i)VERSION`},
	{"-oP", `(?:foo)+`},
	{"-oP", `(?<n>o+)`},
	{"-oP", `[[:digit:]]+`},
	{"-oP", `[]x]`},
	{"-oP", `\x41|\t`},
	{"-oP", `o*?f`},
	{"-ohP", `z=\d{2}`},
	{"-P", "(", "-s"},
	{"-oP", "--color=never", "app"},
	{"-HP", "image"},
	{"-lP", "image"},
	{"-LP", "image"},
	{"-zoP", "a"},
	{"-oP", `a(?=,)`},
	{"-ovP", "a"},
}

func TestSameAsGNU(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"one": input, "two": "two version: 9\n", "sub/three.txt": "image\nno newline version: 7", "sub/four.md": "version: 4\n"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	lines := append([][]string{}, same...)
	for _, line := range []string{
		"-oP version:.\\K.+ one two", "-cP image one two missing", "-lP image one two", "-LP image one two", "-hP version one two", "-P version sub", "-qP version missing one",
		"-rP version: sub", "-rlP image sub --include=*.txt", "-rP version --exclude=*.md sub", "-oP \\d -m1 one two", "-nHP version two", "-sP x missing", "-P version -", "-rhoP \\d+$ sub/",
	} {
		lines = append(lines, strings.Fields(line))
	}
	for _, args := range lines {
		compare(t, dir, args)
	}
}

// compare runs one command line here and with GNU's program.
func compare(t *testing.T, dir string, args []string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "grep", args...)
	var out, errs bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, []string{"LC_ALL=C"}, strings.NewReader(input), &out, &errs
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatalf("this test compares with GNU grep: %v; on Debian or Ubuntu: apt-get install grep", err)
	}
	want, got := result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}, here(t, dir, args, input)
	if slices.ContainsFunc(args, func(a string) bool { return recursive.MatchString(a) }) { // in the order of the directory
		want.Out, got.Out = sorted(want.Out), sorted(got.Out)
		want.Errors, got.Errors = sorted(want.Errors), sorted(got.Errors)
	}
	if want.Code == exitTrouble && want.Out == "" && slices.ContainsFunc(args, func(a string) bool { return strings.Contains(a, "P") }) {
		want.Errors, got.Errors = "", ""
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("grep %q (-GNU +here)\n%s", args, diff)
	}
}

var recursive = regexp.MustCompile(`^(-[^-]*[rR]|--recursive)`)

// TestFilesAreChosenAsByGNU: the program of the folder searches, what it gets is
// found here.
func TestFilesAreChosenAsByGNU(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a.txt": "foo\nbar foo\n", "b.md": "foo\n", "-v": "foo\n", "sub/c.txt": "bar\n", "sub/deep/d.txt": "foo\n", "sub/.git/e.txt": "foo\n", "other/e.txt": "foo\nFOO\n", "p": "bar\n",
	} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for at, target := range map[string]string{"sub/lnk": "../other", "sub/deep/loop": "..", "sub/f.txt": "../a.txt", "sub/gone.txt": "nowhere"} {
		if err := os.Symlink(target, filepath.Join(dir, at)); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range []string{
		"-r foo --include=*.txt", "-r foo --include=*.txt .", "-R foo --include=*.txt", "-r foo --include *.txt sub other/ a.txt", "-rn foo --exclude=*.md", "--recursive --exclude-dir=.git foo",
		"-r foo --exclude-dir=sub", "-r foo --exclude-dir=sub sub other", "-r foo --exclude-dir=sub/ ./sub other/", "-r foo --exclude-dir=./sub .", "-r foo --exclude-dir=.", "-r foo --exclude-dir=. .", "-r foo --exclude-dir=deep --exclude-dir=.git .",
		"-r foo --exclude=*.txt a.txt other/e.txt b.md", "foo --exclude=sub/*.txt a.txt sub/deep/d.txt b.md", "foo --include=*.txt a.txt b.md", "foo --include=*.txt sub a.txt", "foo --include=other/*.txt other/e.txt", "-H foo --include=*.txt a.txt",
		"-r foo --include=*.txt --exclude=a*", "-r foo --exclude=a* --include=*.txt", "-r foo --include=a* --exclude=*.txt", "-r foo --include=[!a].*", "-r foo --include=sub/*.txt", "-r foo --include=*.txt sub/lnk",
		"-rL foo --include=*.txt", "-rL foo --include=a.txt", "-rL nope --include=a.txt", "-rl foo --include=*.txt", "-rc foo --include=*.txt", "-rq foo --include=*.txt nope .", "-r foo --include=*.txt nope a.txt", "-rs foo --include=*.txt nope a.txt",
		"-r foo --include=*.txt - b.md", "-rh foo --include=*.txt", "-rhoi foo --include=e.*", "-r -e foo -e bar --include=*.txt sub", "-rw --include=*.txt -m1 foo", "-rE fo+ --include=*.txt", "-rF fo+ --include=*.txt", "-rv foo --include=*.txt", "-rx foo --include=*.txt",
		"-r -f p --include=*.txt", "-rA1 foo --include=a.txt", "-r nope --include=*.txt", "-r foo --include=*.nope", "foo --exclude-dir=sub sub b.md", "-rLq nope --include=a.txt", "-rI foo --include=*.txt --color=auto", "-rnH --include=*.txt --exclude-dir=other -- foo",
		"-rP foo --include=*.txt --exclude-dir=.git", "-RP foo --include=*.txt", "-rP foo sub/lnk", "-rcz foo --include=a.txt",
	} {
		compare(t, dir, strings.Fields(line))
	}
}

func TestAllOfManyFilesAreSearched(t *testing.T) {
	dir := t.TempDir()
	for n := range 1000 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%0200d.txt", n)), []byte("foo\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range []string{"-rc foo --include=*.txt", "-rL bar --include=*.txt", "-rq foo --include=*9.txt"} {
		compare(t, dir, strings.Fields(line))
	}
}

func sorted(lines string) string {
	return strings.Join(slices.Sorted(strings.Lines(lines)), "")
}

func TestPatternsThatCannotBeAreRefusedByName(t *testing.T) {
	for pattern, want := range map[string]string{
		`(a)\1`: "a back-reference (\\1)", `(?!a)b`: "a negative look-ahead", `a(?<!b)`: "a negative look-behind", `a(?=b)c`: "a look-ahead (?=", `(?>a)`: "an atomic group",
		`(?<=a+)b`: "a look-behind of varying length", `a++`: "a possessive quantifier", `^(?<=a)b`: "a look-behind (?<=", `\b(a)(?=b)`: "a look-around beside", `\K\K`: "a second \\K",
		`(?<=a)b|c`: "a look-around beside", `(?R)`: "a recursion", `a\`: "ends with a backslash", `(`: "missing closing )",
	} {
		got := here(t, "", []string{"-oP", pattern}, "abc")
		if got.Code != exitTrouble || got.Out != "" || !strings.Contains(got.Errors, strings.Split(want, " (?")[0]) {
			t.Errorf("%s: %+v, want %s", pattern, got, want)
		}
	}
}

func TestOnlyGrepsThatBusyboxCannotDoAreWanted(t *testing.T) {
	for line, want := range map[string]bool{
		"-P a": true, "-oP a": true, "a -Po": true, "--perl-regexp a": true, "-e -P": false, "-E a": false, "a -- -P": false, "-A 1 -P a": true, "": false, "--unknown -P": false,
		"-r a --include=x": true, "-r --exclude x a": true, "-r a --exclude-dir x": true, "-r a": true, "-r a b": false, "-re a": true, "-R -e a b": false, "-e --include=x": false, "--incl=x a": true,
	} {
		if got := Wanted(strings.Fields(line)); got != want {
			t.Errorf("%q: %v", line, got)
		}
	}
}

func FuzzCompile(f *testing.F) {
	for _, args := range same {
		f.Add(args[len(args)-1], input)
	}
	f.Fuzz(func(t *testing.T, text, line string) {
		p, err := compile(text, false, false, false)
		if err != nil {
			return
		}
		last := 0
		for _, part := range p.shown(line) {
			if part[0] < last || part[1] < part[0] || part[1] > len(line) {
				t.Fatalf("%q shows %v of %q", text, part, line)
			}
			last = part[1]
		}
	})
}
