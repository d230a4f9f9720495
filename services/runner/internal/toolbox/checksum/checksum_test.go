package checksum

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// emptySum is the SHA-256 of nothing.
const emptySum = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// TestSameAsCoreutils compares standard output, standard error and exit code
// with the programs of the same name.
func TestSameAsCoreutils(t *testing.T) {
	long := strings.Repeat("0123456789", 40)
	tests := []struct{ line, stdin string }{
		{"base64", "hello"},
		{"base64", ""},
		{"base64", long},
		{"base64 -w 0", long},
		{"base64 -w0 -", long},
		{"base64 --wrap=10", long},
		{"base64 one", ""},
		{"base64 -d", "aGVsbG8=\n"},
		{"base64 --decode", "aGVs\nbG8=\n"},
		{"base64 -d", "YQ==YQ=="},
		{"base64 -d", "aGVsbG8"},
		{"base64 -d", "aGVs!G8="},
		{"base64 -d", "aG Vs"},
		{"base64 -di", "aG!V s*bG8="},
		{"base64 -d", ""},
		{"base64 missing", ""},
		{"base64 one two", ""},
		{"sha256sum", "hello"},
		{"sha256sum -", ""},
		{"sha256sum one", ""},
		{"sha256sum one two missing", ""},
		{"sha256sum -b one", ""},
		{"sha256sum --tag one", ""},
		{"sha256sum -z one two", ""},
		{"sha256sum ./dir", ""},
		{`sha256sum back\slash`, ""},
		{"md5sum one", ""},
		{"sha1sum one", ""},
		{"sha512sum one", ""},
		{"sha256sum -c", emptySum + "  empty\n"},
		{"sha256sum -c", emptySum + " *empty\n" + emptySum + "  one\n"},
		{"sha256sum --check -", strings.ToUpper(emptySum) + "  empty\n"},
		{"sha256sum -c --status", emptySum + "  one\n"},
		{"sha256sum -c --quiet", emptySum + "  empty\n" + emptySum + "  one\n" + emptySum + "  two\n"},
		{"sha256sum -c", emptySum + "  missing\n"},
		{"sha256sum -c --ignore-missing", emptySum + "  missing\n" + emptySum + "  empty\n"},
		{"sha256sum -c --ignore-missing", emptySum + "  missing\n"},
		{"sha256sum -c", "nonsense\n" + emptySum + "  empty\n"},
		{"sha256sum -c --strict", "nonsense\nmore\n" + emptySum + "  empty\n"},
		{"sha256sum -c -w", "# comment\nnonsense\n" + emptySum + "  empty\n"},
		{"sha256sum -c", "nonsense\n"},
		{"sha256sum -c", "SHA256 (empty) = " + emptySum + "\n"},
		{"sha256sum -c missing", ""},
		{"md5sum -c", "d41d8cd98f00b204e9800998ecf8427e  empty\n"},
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"one": "1\n", "two": "2\n", "empty": "", `back\slash`: "x"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "dir"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		t.Run(tt.line, func(t *testing.T) {
			words := strings.Fields(tt.line)
			cmd := exec.Command(words[0], words[1:]...)
			var out, errs bytes.Buffer
			cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, []string{"LC_ALL=C"}, strings.NewReader(tt.stdin), &out, &errs
			var exit *exec.ExitError
			if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
				t.Fatalf("this test compares with coreutils: %v", err)
			}
			want := result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
			if d := cmp.Diff(want, run(t.Context(), dir, words, tt.stdin)); d != "" {
				t.Errorf("(-coreutils +here)\n%s", d)
			}
		})
	}
}

type result struct {
	Code        int
	Out, Errors string
}

func run(ctx context.Context, dir string, words []string, stdin string) result {
	commands := Digests()
	commands["base64"] = Base64
	var out, errs strings.Builder
	code := commands[words[0]](ctx, tool.Invocation{
		Name: words[0], Args: words[1:], Dir: dir,
		Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs,
	})
	return result{code, out.String(), errs.String()}
}

func TestEndedJobStopsADigest(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r := run(ctx, t.TempDir(), []string{"sha256sum"}, "x"); r.Code != 1 || r.Out != "" {
		t.Errorf("%+v", r)
	}
}

func TestWrongOptionIsRefused(t *testing.T) {
	for _, line := range []string{"base64 -x", "base64 -w -1", "sha256sum --nope"} {
		if r := run(t.Context(), t.TempDir(), strings.Fields(line), ""); r.Code != 1 || r.Errors == "" {
			t.Errorf("%s: %+v", line, r)
		}
	}
}
