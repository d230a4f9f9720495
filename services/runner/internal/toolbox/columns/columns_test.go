package columns

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

var files = map[string]string{
	"a": "apple\nbanana\ncherry\nplum\n", "b": "banana\ncherry\ndate\nplum\nquince\n",
	"unsorted": "b\na\nc\n", "turned": "a\nb\nd\nc\n", "cut": "apple\nplum", "empty": "", "zero": "a\x00b\x00", "zero2": "b\x00c",
	"table": "NAME AGE CITY\nbob 7 x\nlonglong  1\n\n \t \n  lead 1 2 3\n", "colons": "a:b::c\n::d\nx\nlong: :y:\n", "accents": "é b\nee c\n",
	"commas": "key,value\n,\nlonger key,v w\n",
}

// TestSameAsTheRealPrograms compares output, errors and exit code with comm of
// GNU and column of util-linux.
func TestSameAsTheRealPrograms(t *testing.T) {
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	commands := map[string]tool.Command{"comm": Comm, "column": Column, "cut": Cut}
	for name, install := range map[string]string{"comm": "coreutils", "column": "bsdextrautils"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Fatalf("this test compares with %s: apt-get install %s", name, install)
		}
	}
	for _, line := range []string{
		"comm a b", "comm -1 a b", "comm -12 a b", "comm -13 a b", "comm -23 a b", "comm -3 a b", "comm -123 a b", "comm -1 -2 b a", "comm a -", "comm -12 - b",
		"comm unsorted turned", "comm --check-order unsorted turned", "comm --check-order a turned", "comm --nocheck-order unsorted turned", "comm unsorted unsorted", "comm turned a", "comm -12 unsorted a", "comm turned turned", "comm empty turned",
		"comm cut a", "comm empty empty", "comm empty a", "comm --total a b", "comm --output-delimiter=, a b", "comm --total -123 --output-delimiter=; a b", "comm -z zero zero2", "comm a missing", "comm missing a",
		"cut -d: -f1,5 colons", "cut -d: -f 2- colons a", "cut -d: -f1 --complement colons", "cut --complement -d : -f2-3 colons", "cut -c2-3,5 --complement a", "cut --complement -b -2,9 a", "cut -f1- -d: --complement colons", "cut -d: -f3,1 colons", "cut -s -d: -f1 colons", "cut -f1",
		"cut -d: -f1,2 --output-delimiter=, colons", "cut -c1,3 --output-delimiter : a", "cut -c1-2,3-4,4-5 --output-delimiter=: a", "cut --output-delimiter= -f1,2 -d: colons", "cut -z -c1 zero", "cut -f2 -d, -", "cut -d, -f2 missing commas", "cut a", "cut -f0 a", "cut -f x a", "cut -f 3-2 a", "cut -f - a", "cut -d:: -f1 a",
		"cut -c1 -d: a", "cut -c1 -s a", "cut -f1 -c1 a", "cut -f1,,2 a", "cut -f", "cut --nope", "cut -d b -f 1 accents", "cut -f1, a", "cut -f +1 a", "cut -c 0-2 a", "cut -d: -f4-,2 colons",
		"column -t table", "column -t", "column --table table cut", "column -t empty", "column -ts: colons", "column -t -s : colons", "column -t -s ,: colons commas", "column -t -s , -o | commas", "column -t -o= table", "column -t accents", "column -t -s , -o  commas", "column -t missing", "column -t missing table", "column -t cut",
	} {
		t.Run(line, func(t *testing.T) {
			words := strings.Split(line, " ")
			want := real(t, dir, words)
			want.Err = strings.NewReplacer("‘", "'", "’", "'").Replace(want.Err)
			var out, errs strings.Builder
			code := commands[words[0]](t.Context(), tool.Invocation{
				Name: words[0], Args: words[1:], Dir: dir, Stdin: strings.NewReader("banana\ndate and more\n"), Stdout: &out, Stderr: &errs,
			})
			if d := cmp.Diff(want, answer{code, out.String(), errs.String()}); d != "" {
				t.Errorf("(-real +here)\n%s", d)
			}
		})
	}
}

type answer struct {
	Code     int
	Out, Err string
}

func real(t *testing.T, dir string, words []string) answer {
	t.Helper()
	cmd := exec.Command(words[0], words[1:]...)
	var out, errs bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, []string{"LC_ALL=C.UTF-8"}, strings.NewReader("banana\ndate and more\n"), &out, &errs
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return answer{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

func TestWrongUseSaysWhatToDo(t *testing.T) {
	for line, want := range map[string]string{
		"comm a": "missing operand after 'a'", "comm": "missing operand", "comm a b c": "extra operand 'c'", "comm -x a b": "unknown shorthand",
		"column a": "column -t", "column -t -N a": "unknown shorthand",
	} {
		words := strings.Split(line, " ")
		command := map[string]tool.Command{"comm": Comm, "column": Column, "cut": Cut}[words[0]]
		var out, errs strings.Builder
		code := command(t.Context(), tool.Invocation{Name: words[0], Args: words[1:], Dir: t.TempDir(), Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs})
		if code != 1 || !strings.Contains(errs.String(), want) || out.Len() > 0 {
			t.Errorf("%s: exit code %d, %s%s", line, code, out.String(), errs.String())
		}
	}
}

func TestHugeTableIsRefused(t *testing.T) {
	var out, errs strings.Builder
	code := Column(t.Context(), tool.Invocation{Args: []string{"-t"}, Stdin: strings.NewReader(strings.Repeat("a ", maxCells+1)), Stdout: &out, Stderr: &errs})
	if code != 1 || !strings.Contains(errs.String(), "too large for a job") {
		t.Errorf("exit code %d, %s", code, errs.String())
	}
}

func FuzzSpans(f *testing.F) {
	for _, list := range []string{"1", "2-3,5", "-2,9", "1-", "-", "0", "3-2", "1 4-", "1,,2"} {
		f.Add(list)
	}
	f.Fuzz(func(t *testing.T, list string) {
		spans, err := parseSpans(list, true)
		if err != nil {
			return
		}
		if back := complement(complement(spans)); len(complement(spans)) > 0 && back[0] != spans[0] && back[0].to < spans[0].to {
			t.Errorf("%q is %v, and turned twice %v", list, spans, back)
		}
	})
}
