package yq

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

// module is where the real yq is built from.
const module = "github.com/mikefarah/yq/v4"

var environ = []string{"NAME=world", "IMAGE=nginx:1.27", "NUMBER=3", "OBJECT={a: 1}", "EMPTY="}

var input = map[string]string{
	"values.yaml": `# values of the chart
image:
  repository: nginx # the name
  tag: "1.25"
replicas: 2
env: [dev, "prod"]
empty: {}
nothing: null
flag: yes
`,
	"other.yaml":   "image:\n  tag: \"2.0\"\nreplicas: 5\nextra: [1, 2]\n",
	"multi.yaml":   "kind: A\nname: one\n---\nkind: B\nname: two\n",
	"data.json":    `{"a":[1,2,{"b":"x"}],"c":null,"s":"text"}`,
	"data.xml":     `<root id="1"><item>a</item><item>b</item></root>`,
	"data.csv":     "name,age\nann,3\nbob,4\n",
	"data.props":   "# comment\na.b = 1\na.c = two\n",
	"data.toml":    "[owner]\nname = \"x\"\n",
	"prog.yq":      ".image.tag\n",
	"anchors.yaml": "base: &b {x: 1}\nuse:\n  <<: *b\n  y: 2\n",
	"tmpl.yaml":    "greeting: hello ${NAME}\nother: $UNSET_VARIABLE\n",
	"bad.yaml":     "a: [1\nb: }\n",
}

var same = []struct {
	args  []string
	stdin string
}{
	{[]string{".", "values.yaml"}, ""},
	{[]string{"values.yaml"}, ""},
	{[]string{"eval", ".image.tag", "values.yaml"}, ""},
	{[]string{"e", ".image", "values.yaml"}, ""},
	{[]string{".image.tag"}, "image: {tag: v1}\n"},
	{[]string{".image.tag", "-"}, "image: {tag: v1}\n"},
	{[]string{}, "a: 1\n"},
	{[]string{".a"}, "a: 1\n---\na: 2\n"},
	{[]string{"-N", ".a"}, "a: 1\n---\na: 2\n"},
	{[]string{"-r=false", ".image.tag", "values.yaml"}, ""},
	{[]string{"-o=json", ".", "values.yaml"}, ""},
	{[]string{"-o", "json", "-I0", ".", "values.yaml"}, ""},
	{[]string{"-o=j", "-r", ".image.tag", "values.yaml"}, ""},
	{[]string{"-j", ".image", "values.yaml"}, ""},
	{[]string{"-P", ".", "data.json"}, ""},
	{[]string{"-oy", ".", "data.json"}, ""},
	{[]string{".a[2].b", "data.json"}, ""},
	{[]string{"-p=json", "-o=yaml", "."}, `{"a":{"b":1}}`},
	{[]string{"-p", "xml", "-o", "yaml", ".", "-"}, "<a><b>1</b></a>"},
	{[]string{".", "data.xml"}, ""},
	{[]string{"-o=xml", ".", "other.yaml"}, ""},
	{[]string{"-oy", ".", "data.csv"}, ""},
	{[]string{"-o=csv", "[.[] | [.name, .age]]", "-p=csv", "data.csv"}, ""},
	{[]string{"-o=tsv", ".", "-p=csv", "-"}, "a,b\n1,2\n"},
	{[]string{"-oy", ".", "data.props", "-p=props"}, ""},
	{[]string{"-o=props", ".", "other.yaml"}, ""},
	{[]string{"-oy", ".", "data.toml"}, ""},
	{[]string{"-o=shell", ".", "other.yaml"}, ""},
	{[]string{"-o=base64", ".s", "data.json"}, ""},
	{[]string{".replicas = 7", "values.yaml"}, ""},
	{[]string{`.image.tag = "new" | .added.deep = true`, "values.yaml"}, ""},
	{[]string{"-i", ".replicas = 9", "values.yaml"}, ""},
	{[]string{"-i", `.image.tag = strenv(IMAGE)`, "values.yaml"}, ""},
	{[]string{"-i", ".x = ("}, ""},
	{[]string{"-i", ".a = 1"}, "a: 2\n"},
	{[]string{"del(.image)", "values.yaml"}, ""},
	{[]string{"-n", ".a.b = 1"}, ""},
	{[]string{"-n", `"x"`, "values.yaml"}, ""},
	{[]string{"-n", `{"name": env(NAME), "n": env(NUMBER), "o": env(OBJECT), "s": strenv(NUMBER), "u": strenv(UNSET_VARIABLE)}`}, ""},
	{[]string{"-n", "env(UNSET_VARIABLE)"}, ""},
	{[]string{"-n", "env(EMPTY)"}, ""},
	{[]string{`(.. | select(tag == "!!str")) |= envsubst`, "tmpl.yaml"}, ""},
	{[]string{`.greeting |= envsubst(nu)`, "tmpl.yaml"}, ""},
	{[]string{`.other |= envsubst(nu)`, "tmpl.yaml"}, ""},
	{[]string{`.greeting = envsubst`, "values.yaml"}, ""},
	{[]string{"ea", ". as $item ireduce ({}; . * $item)", "values.yaml", "other.yaml"}, ""},
	{[]string{"eval-all", "select(fileIndex == 0) * select(fileIndex == 1)", "values.yaml", "other.yaml"}, ""},
	{[]string{"ea", "[.name]", "multi.yaml"}, ""},
	{[]string{"ea", "[.]", "-", "other.yaml"}, "a: 1\n"},
	{[]string{"filename", "values.yaml"}, ""},
	{[]string{`. * load("other.yaml")`, "values.yaml"}, ""},
	{[]string{`.x = load_str("prog.yq")`, "other.yaml"}, ""},
	{[]string{`load("missing.yaml")`, "values.yaml"}, ""},
	{[]string{`.image.tag = "a" | with(.image; .repository = load("sub/deep.yaml").v)`, "values.yaml"}, ""},
	{[]string{"select(.kind == \"B\") | .name", "multi.yaml"}, ""},
	{[]string{"documentIndex", "multi.yaml"}, ""},
	{[]string{"-s", ".name", "multi.yaml"}, ""},
	{[]string{"-s", `"out/" + $index`, "multi.yaml"}, ""},
	{[]string{"-e", ".missing", "values.yaml"}, ""},
	{[]string{"-e", ".replicas", "values.yaml"}, ""},
	{[]string{".missing", "values.yaml"}, ""},
	{[]string{".", "missing.yaml"}, ""},
	{[]string{".", "bad.yaml"}, ""},
	{[]string{".[", "values.yaml"}, ""},
	{[]string{"nosuchfunction(", "values.yaml"}, ""},
	{[]string{"--nosuchflag", "."}, ""},
	{[]string{"prog.yq", "values.yaml"}, ""},
	{[]string{"--from-file", "prog.yq", "values.yaml"}, ""},
	{[]string{"--expression", ".replicas", "values.yaml"}, ""},
	{[]string{"-0", ".env[]", "values.yaml"}, ""},
	{[]string{"keys", "values.yaml"}, ""},
	{[]string{"explode(.)", "anchors.yaml"}, ""},
	{[]string{".env[] | upcase", "values.yaml"}, ""},
	{[]string{".env | join(\",\")", "values.yaml"}, ""},
	{[]string{"sort_keys(..)", "values.yaml"}, ""},
	{[]string{"to_entries | map(.key)", "other.yaml"}, ""},
	{[]string{`.[] |= . + 1`, "-"}, "[1, 2]\n"},
	{[]string{"... comments=\"\"", "values.yaml"}, ""},
	{[]string{"-C", ".image", "values.yaml"}, ""},
	{[]string{"-I4", ".image", "values.yaml"}, ""},
	{[]string{`eval("." + "replicas") + env(NUMBER)`, "values.yaml"}, ""},
	{[]string{`system("echo"; "x")`, "values.yaml"}, ""},
	{[]string{"-p=yaml", "-o=json", "-I=0", ".replicas", "values.yaml"}, ""},
}

// TestSameAsYq compares what is printed, the exit code and all files.
func TestSameAsYq(t *testing.T) {
	program := filepath.Join(t.TempDir(), "yq")
	if out, err := exec.Command("go", "build", "-o", program, module).CombinedOutput(); err != nil {
		t.Fatalf("build the yq to compare with: %v\n%s", err, out)
	}
	for _, tt := range same {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			theirs, ours := folder(t), folder(t)
			cmd := exec.Command(program, tt.args...)
			var out, errs bytes.Buffer
			// A reader that is no file becomes a pipe, which yq reads.
			cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, append(os.Environ(), environ...), io.MultiReader(strings.NewReader(tt.stdin)), &out, &errs
			var exit *exec.ExitError
			if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			want := answer{cmd.ProcessState.ExitCode(), out.String(), errs.String(), contents(t, theirs)}
			got := run(t.Context(), ours, t.TempDir(), tt.args, tt.stdin)
			got.Files = contents(t, ours)
			if strings.Contains(want.Errors, "--yaml-fix-merge-anchor-to-spec is false") {
				if warned {
					want.Errors = ""
				}
				warned = true
			}
			want.Errors, got.Errors = comparable(want.Errors), comparable(got.Errors)
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("(-yq +here)\n%s", d)
			}
		})
	}
}

// warned: the library warns of anchors once in a process only, and this test may
// run again.
var warned bool

// comparable removes what differs from run to run.
func comparable(text string) string {
	if _, rest, ok := strings.Cut(text, "level=WARN"); ok {
		return rest
	}
	first, _, _ := strings.Cut(text, "\nUsage:\n") // this one does not explain all flags after a mistake
	return strings.TrimSpace(first)
}

type answer struct {
	Code        int
	Out, Errors string
	Files       map[string]string
}

func folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "sub", "deep.yaml"), []byte("v: deep\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, text := range input {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(filepath.Join(dir, path))
		out[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func run(ctx context.Context, dir, scratch string, args []string, stdin string) answer {
	var out, errs strings.Builder
	code := New(scratch).Run(ctx, tool.Invocation{
		Name: "yq", Args: args, Dir: dir, Environ: environ,
		Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs,
	})
	return answer{Code: code, Out: out.String(), Errors: errs.String()}
}

func TestTwoInAPipeline(t *testing.T) {
	dir, scratch := folder(t), t.TempDir()
	r, w := io.Pipe()
	y := New(scratch)
	var wg sync.WaitGroup
	var out strings.Builder
	wg.Go(func() {
		y.Run(t.Context(), tool.Invocation{Args: []string{".a"}, Dir: dir, Stdin: r, Stdout: &out, Stderr: io.Discard})
	})
	y.Run(t.Context(), tool.Invocation{Args: []string{"-n", ".a = 5"}, Dir: dir, Stdin: strings.NewReader(""), Stdout: w, Stderr: io.Discard})
	w.Close()
	wg.Wait()
	if out.String() != "5\n" {
		t.Errorf("got %q", out.String())
	}
}

func TestManyAtOnceKeepTheirOwnSettings(t *testing.T) {
	dir, scratch := folder(t), t.TempDir()
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			var out strings.Builder
			args, want := []string{"-o=json", "-I0", "{\"n\": env(N)}", "-n"}, fmt.Sprintf("{\"n\":%d}\n", i)
			if i%2 == 1 {
				args, want = []string{"-n", ".n = env(N)"}, fmt.Sprintf("n: %d\n", i)
			}
			New(scratch).Run(context.Background(), tool.Invocation{
				Args: args, Dir: dir, Environ: []string{fmt.Sprintf("N=%d", i)},
				Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out,
			})
			if out.String() != want {
				t.Errorf("got %q, want %q", out.String(), want)
			}
		})
	}
	wg.Wait()
}

func TestNothingIsLeftBehind(t *testing.T) {
	scratch := t.TempDir()
	run(t.Context(), folder(t), scratch, []string{".a = env(NAME)"}, "a: 1\n")
	if left, err := os.ReadDir(scratch); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
	for _, entry := range os.Environ() {
		if strings.HasPrefix(entry, envPrefix) {
			t.Errorf("left %s", entry)
		}
	}
}
