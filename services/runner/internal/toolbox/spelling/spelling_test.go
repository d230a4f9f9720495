package spelling

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

	"github.com/towline/towline/services/runner/internal/toolbox/getopt"
)

func busybox(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal("this test needs a static busybox; on Debian or Ubuntu: apt-get install busybox-static")
	}
	return path
}

// run is what a program prints and its exit code.
func run(t *testing.T, dir, stdin, program string, args ...string) (out, errs string, code int) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, strings.NewReader(stdin), &stdout, &stderr
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C"}
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()
}

func TestBusyboxKnowsEachLetter(t *testing.T) {
	bin, dir := busybox(t), t.TempDir()
	for program, spec := range specs {
		for name := range spec.Long {
			arg := "--" + name
			if options, _, err := getopt.Parse(spec, []string{arg, "1"}); err != nil {
				t.Fatal(err)
			} else if options[0].Value != "" {
				arg += "=1"
			}
			args := Args(program, []string{arg})
			if len(args) > 0 && strings.HasPrefix(args[0], "--") {
				t.Errorf("%s %s stays as it is", program, arg)
			}
			_, errs, _ := run(t, dir, "", bin, append([]string{program}, args...)...)
			if strings.Contains(errs, "invalid option") || strings.Contains(errs, "unrecognized option") {
				t.Errorf("%s %q, from %s: %s", program, args, arg, errs)
			}
		}
	}
}

const lines = "b:2 x\na:10 x\na:9 y\n--c:1 \na:9 y\n"

// TestLikeGNU runs each line with the programs of this machine, and with busybox
// after the spelling.
func TestLikeGNU(t *testing.T) {
	bin := busybox(t)
	for _, line := range []string{
		"grep --quiet a: f", "grep --quiet nothing f", "grep --ignore-case --line-number --max-count=2 A f", "grep --count -e --c f", "grep -e --quiet f",
		"grep --color=auto --extended-regexp --only-matching [0-9]+ f", "grep --invert-match --fixed-strings -- --c f", "grep --after-context 1 b f", "grep --inv a f",
		"sort --unique f", "sort --field-separator=: --key=2 --numeric-sort f", "sort --reverse --output=sorted f", "cut --delimiter=: --fields 1 f", "cut -d: --fields=2 f",
		"head --lines=2 f", "head --bytes=3 f", "tail --lines 1 f", "wc --lines f", "uniq --count f", "tr --delete a", "tr --squeeze-repeats -- - +",
		"sed --quiet --expression=s/a/z/p f", "sed --in-place s/a/z/ f", "sed --in-place=.old --regexp-extended s/(a)/[\\1]/ f", "tee --append f", "cat --number f",
		"paste --serial --delimiters=, f", "stat --format=%s f", "readlink --canonicalize .", "seq --separator=, 1 3", "xargs --no-run-if-empty --max-args=2 echo",
		"xargs grep --quiet x f", "rm --recursive --force d f none", "ls --almost-all --recursive d", "ln --symbolic --force f l", "chmod --recursive 700 d",
		"cmp --silent f d/g", "nl --body-numbering=a f", "env --ignore-environment A=1 /usr/bin/env",
		"find d -name *.tmp -delete", "find d -type f -name a* -delete -print", "find d -delete", "find -name g -delete", "find d ! -name g -type f -delete",
	} {
		after := func(program string, change func(string, []string) []string, before ...string) string {
			dir := t.TempDir()
			for name, text := range map[string]string{"f": lines, "d/g": "g\n", "d/a.tmp": "", "d/e/b.tmp": "", "d/e/f/a": ""} {
				if err := errors.Join(os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o700), os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600)); err != nil {
					t.Fatal(err)
				}
			}
			words := strings.Fields(line)
			out, _, code := run(t, dir, "one two three\n", program, append(before, change(words[0], words[1:])...)...)
			if words[0] == "find" { // in whatever order
				list := strings.SplitAfter(out, "\n")
				slices.Sort(list)
				out = strings.Join(list, "")
			}
			left := []string{strings.ReplaceAll(out, dir, "DIR"), string(rune('0' + code))}
			if words[0] == "find" {
				left[1] = string(rune('0' + min(code, 1)))
			}
			err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
				text, _ := os.ReadFile(path) // of a directory there is none
				left = append(left, strings.TrimPrefix(path, dir), string(text))
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return strings.Join(left, "\n")
		}
		program := strings.Fields(line)[0]
		gnu := after(program, func(_ string, args []string) []string { return args })
		here := after(bin, Args, program)
		if diff := cmp.Diff(gnu, here); diff != "" {
			t.Errorf("%s: (-GNU +here)\n%s", line, diff)
		}
	}
}

func TestWhatIsNotKnownStays(t *testing.T) {
	for _, line := range []string{
		"grep -n a", "grep --include=*.yml -r a", "sort --random-sort f", "head -5 --quiet f", "echo --quiet", "find . -name x", "tr a --delete", "xargs echo --null", "seq 1 --separator", "cut --nothing",
	} {
		words := strings.Fields(line)
		if diff := cmp.Diff(words[1:], Args(words[0], words[1:])); diff != "" {
			t.Errorf("%s: %s", line, diff)
		}
	}
}
