package perlgrep

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
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
	code := Run(t.Context(), tool.Invocation{Name: "grep", Args: args, Dir: dir, Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs})
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
		cmd := exec.Command("grep", args...)
		var out, errs bytes.Buffer
		cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, []string{"LC_ALL=C"}, strings.NewReader(input), &out, &errs
		var exit *exec.ExitError
		if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
			t.Fatalf("this test compares with GNU grep: %v; on Debian or Ubuntu: apt-get install grep", err)
		}
		want, got := result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}, here(t, dir, args, input)
		if strings.Contains(args[0], "r") { // in the order of the directory
			want.Out, got.Out = sorted(want.Out), sorted(got.Out)
		}
		if want.Code == exitTrouble && want.Out == "" {
			want.Errors, got.Errors = "", ""
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("grep %q (-GNU +here)\n%s", args, diff)
		}
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

func TestOnlyGrepsWithPAreWanted(t *testing.T) {
	for line, want := range map[string]bool{
		"-P a": true, "-oP a": true, "a -Po": true, "--perl-regexp a": true, "-e -P": false, "-E a": false, "a -- -P": false, "-A 1 -P a": true, "": false, "--unknown -P": false,
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
