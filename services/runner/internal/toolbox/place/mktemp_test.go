package place

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// random is the part of a name that differs each time.
var random = regexp.MustCompile(`\b(tmp\.|foo\.?|X?q)([0-9A-Za-z]{3,10})`)

func TestMktempAsCoreutils(t *testing.T) {
	for _, line := range []string{
		"--suffix=.yaml -p .", "fooXXXXXX.yaml", "fooXX", "fooXXX", "--suffix=.y foo.XXXX", "--suffix=.y foo.XXXXz", "--suffix=/y XXXX", "nope/qXXXX", "-t a/qXXXX", "-p y", "-p y qXXXX", "--tmpdir=y", "--tmpdir=y qXXXXXXXX.d", "-p y /qXXXX", "-p nope",
		"-d --suffix=.d -p y", "-u qXXXX", "-q -p nope", "-d -p nope", "a b", "--nope", "XXXX/a", "-t -p y qXXXX", "foo", "-dp y", "--suffix=", "-d fooXXXX", "--directory --tmpdir=y fooXXXX", "XqXXX", "qXXXX-XX", "-p", "y/qXXX.tar.gz",
	} {
		var results []result
		for _, run := range []func(*testing.T, string, []string) result{real, here} {
			dir := t.TempDir()
			if err := os.Mkdir(filepath.Join(dir, "y"), 0o755); err != nil {
				t.Fatal(err)
			}
			r := run(t, dir, append([]string{"mktemp"}, strings.Fields(line)...))
			mask := func(s string) string {
				s = strings.ReplaceAll(s, dir, "DIR")
				return random.ReplaceAllStringFunc(s, func(name string) string {
					parts := random.FindStringSubmatch(name)
					return fmt.Sprint(parts[1], "<", len(parts[2]), ">")
				})
			}
			masked := map[string]string{}
			for name, text := range r.Files {
				masked[mask(name)] = text
			}
			if made := strings.TrimSpace(r.Out); strings.HasPrefix(made, "/tmp/") {
				if err := os.Remove(made); err != nil {
					t.Error(err)
				}
			}
			results = append(results, result{r.Code, mask(r.Out), strings.ReplaceAll(r.Errors, dir, "DIR"), masked})
		}
		if diff := cmp.Diff(results[0], results[1]); diff != "" {
			t.Errorf("mktemp %s (-GNU +here)\n%s", line, diff)
		}
	}
}

func TestMktempUsesTheJobsDirectory(t *testing.T) {
	dir := t.TempDir()
	for line, want := range map[string]string{"": dir + "/tmp.", "-t fooXXXX": dir + "/foo", "--suffix=.x": dir + "/tmp.", "--tmpdir fooXXXX": dir + "/foo", "-p " + dir + "/. fooXXXX": dir + "/./foo"} {
		var out strings.Builder
		inv := tool.Invocation{Args: strings.Fields(line), Dir: t.TempDir(), Environ: []string{"TMPDIR=" + dir}, Stdout: &out, Stderr: &out}
		if code := Mktemp(t.Context(), inv); code != 0 || !strings.HasPrefix(out.String(), want) {
			t.Errorf("%s: exit %d, %q", line, code, out.String())
		} else if _, err := os.Stat(strings.TrimSpace(out.String())); err != nil {
			t.Error(err)
		}
	}
}
