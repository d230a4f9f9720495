package diff

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

var input = map[string]string{
	"a":          "one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\nten\n",
	"b":          "one\n2\nthree\nfour\nfive\nsix\nseven\neight\nnine\nten\neleven\n",
	"less":       "one\nthree\nfour\nfive\nsix\nseven\neight\nten\n",
	"cut":        "one\ntwo",
	"spaces":     "one\n two\nthree \nfo ur\nfive\nsix\nseven\neight\nnine\nten\n",
	"upper":      "ONE\ntwo\nThree\nfour\nfive\nsix\nseven\neight\nnine\nten\n",
	"blanks":     "one\n\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\n\n\nten\n",
	"crlf":       "one\r\ntwo\r\nthree\r\nfour\nfive\nsix\nseven\neight\nnine\nten\n",
	"empty":      "",
	"binary":     "a\x00b\n",
	"binary2":    "a\x00c\n",
	"dir/a":      "one\n",
	"x/same":     "same\n",
	"y/same":     "same\n",
	"x/f.txt":    "a\nb\n",
	"y/f.txt":    "a\nc\n",
	"x/only-x":   "x\n",
	"y/only-y":   "y\n",
	"x/sub/deep": "1\n",
	"y/sub/deep": "2\n",
	"x/xdir/q":   "q\n",
	"x/kind":     "file\n",
	"y/kind/f":   "in a directory\n",
	"x/bin":      "\x00\x01",
	"y/bin":      "\x00\x02",
	"x/a b":      "1\n",
	"y/a b":      "2\n",
	"x/n.log":    "1\n",
	"y/n.log":    "2\n",
}

// TestSameAsDiff compares standard output, standard error and exit code.
func TestSameAsDiff(t *testing.T) {
	program, err := exec.LookPath("diff")
	if err != nil {
		t.Fatal("this test compares with diff: apt-get install diffutils")
	}
	dir := t.TempDir()
	for name, text := range input {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		when := time.Date(2024, 1, 2, 3, 4, 5, 678, time.UTC)
		if err := os.Chtimes(path, when, when); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range []string{
		"a b", "a a", "b a", "a less", "less a", "a empty", "empty a", "a cut", "cut a", "cut cut", "a crlf",
		"-u a b", "-u a less", "-U0 a b", "-U 1 a b", "-U1 a less", "--unified=2 a b", "--unified a b", "-u cut a", "-u a empty",
		"-u --label old --label new a b", "-u -L old a b", "--label=x -u a b", "-u a b --label last",
		"-q a b", "--brief a a", "-s a a", "-s a b", "-sq a a", "-qs a b",
		"-w a spaces", "-b a spaces", "-Z a spaces", "-uw a spaces", "-ub a spaces", "-B a blanks", "-u -B a blanks", "-i a upper", "-iu a upper", "-wiB a spaces", "--strip-trailing-cr a crlf", "-q -w a crlf",
		"- a", "a -", "-u --label in --label a - a", "- -",
		"binary binary2", "-q binary binary2", "-a binary binary2", "binary binary", "binary a", "-u binary binary2",
		"dir a", "a dir", "dir b", "x y", "-r x y", "-rq x y", "-ru x y", "-rN x y", "-ruN x y", "-N x y", "-rs x y", "-r -x *.log -x bin x y", "-r --exclude=sub x y", "-r x/ y/", "-r x x", "-rqN x y", "-rw -U 1 x y",
		"-r x a", "missing a", "a missing", "missing gone", "-N missing a", "-uN a missing", "-N missing gone", "x missing", "-r x missing",
		"a", "", "a b less", "--color=auto a b", "--normal a b", "-d a b", "-- a b",
	} {
		t.Run(line, func(t *testing.T) {
			args, stdin := strings.Fields(line), "one\ntwo\n"
			want := real(t, program, dir, args, stdin)
			got := here(t, dir, args, stdin)
			if strings.Contains(want.Err, "Try 'diff --help'") && strings.Contains(got.Err, "are available in a job") {
				want.Err, got.Err = "", "" // each says what it has itself
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("(-diff +here)\n%s", d)
			}
		})
	}
}

type answer struct {
	Code     int
	Out, Err string
}

func real(t *testing.T, program, dir string, args []string, stdin string) answer {
	t.Helper()
	cmd := exec.Command(program, args...)
	var out, errs bytes.Buffer
	cmd.Args[0] = "diff"
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, []string{"LC_ALL=C", "TZ=UTC"}, strings.NewReader(stdin), &out, &errs
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return answer{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

func here(t *testing.T, dir string, args []string, stdin string) answer {
	t.Helper()
	var out, errs strings.Builder
	code := Run(t.Context(), tool.Invocation{
		Name: "diff", Args: args, Dir: dir, Environ: []string{"TZ=UTC"}, Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs,
	})
	return answer{code, out.String(), errs.String()}
}

func TestUnknownOptionSaysWhatThereIs(t *testing.T) {
	got := here(t, t.TempDir(), []string{"--side-by-side", "a", "b"}, "")
	if got.Code != trouble || !strings.Contains(got.Err, "are available in a job") {
		t.Errorf("%+v", got)
	}
}

func TestHugeInputIsRefused(t *testing.T) {
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "huge"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(maxFile + 1); err != nil {
		t.Fatal(err)
	}
	got := here(t, dir, []string{"huge", "-"}, "")
	if got.Code != trouble || !strings.Contains(got.Err, "diff: huge: larger than 32 MiB") {
		t.Errorf("%+v", got)
	}
}
