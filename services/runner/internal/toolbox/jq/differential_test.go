package jq

import (
	"bytes"
	"context"
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

// object has its keys in order, since jq keeps the order of the input where
// this jq sorts.
const object = `{"a":1,"b":[1,2,{"c":"x"}],"d":null,"e":"text","f":{"g":true,"h":false}}`

const pods = `{"items":[{"metadata":{"labels":{"app":"web"},"name":"web-1"},"status":{"phase":"Running"}},
{"metadata":{"labels":{"app":"db"},"name":"db-1"},"status":{"phase":"Pending"}}],"kind":"List"}`

var environ = []string{"NAME=world", "EMPTY=", "TZ=UTC", "LC_ALL=C.UTF-8"}

// same are command lines whose standard output and exit code equal jq's. The
// first argument that is not an option is the filter.
var same = []struct {
	args  []string
	stdin string
}{
	{[]string{"."}, object},
	{[]string{}, object},
	{[]string{"-c", "."}, object},
	{[]string{"-S", "-c", "."}, object},
	{[]string{"--tab", "."}, object},
	{[]string{"--indent", "4", "."}, object},
	{[]string{"--indent", "0", "."}, object},
	{[]string{"--indent", "9", "."}, object},
	{[]string{"-r", ".e"}, object},
	{[]string{"-r", ".b[]"}, object},
	{[]string{"-rc", ".b[]"}, object},
	{[]string{"-j", ".e, .a, .e"}, object},
	{[]string{"-a", "."}, `"é€😀"`},
	{[]string{"-ra", "."}, `"é"`},
	{[]string{"."}, `"é\u0001\n\t\"\\/"`},
	{[]string{"-M", "."}, object},
	{[]string{".a, .d, .f.g"}, object},
	{[]string{".missing.deeper"}, object},
	{[]string{".a.b"}, object},
	{[]string{".a[0]"}, object},
	{[]string{".a.b?"}, object},
	{[]string{"-e", ".f.h"}, object},
	{[]string{"-e", ".d"}, object},
	{[]string{"-e", ".a"}, object},
	{[]string{"-e", "empty"}, object},
	{[]string{"--exit-status", ".a.b"}, object},
	{[]string{"-n", "1+1"}, object},
	{[]string{"-n", "[inputs]"}, "1 2 3"},
	{[]string{"-n", "input"}, "1 2"},
	{[]string{"-n", "input,input"}, "1"},
	{[]string{"-nr", "[limit(2; inputs)] | @csv"}, "1 2 3"},
	{[]string{"-s", "."}, "1 2 3"},
	{[]string{"-s", "-c", "."}, ""},
	{[]string{"-s", "add"}, "1\n2\n3\n"},
	{[]string{"-R", "."}, "a\nb \"c\"\nlast"},
	{[]string{"-Rs", "."}, "a\nb\n"},
	{[]string{"-Rn", "[inputs]"}, "a\nb\n"},
	{[]string{"-Rr", "split(\"=\")|.[1]"}, "a=1\nb=2\n"},
	{[]string{"--raw-input", "--slurp", "-c", "split(\"\\n\")"}, "a\nb"},
	{[]string{"."}, ""},
	{[]string{"-c", "."}, "{}\n[]\n\"s\" 1.5 null true"},
	{[]string{".["}, object},
	{[]string{"nosuchfunction"}, object},
	{[]string{"$missing"}, object},
	{[]string{"--nosuchoption", "."}, object},
	{[]string{"--arg", "x"}, object},
	{[]string{"--arg", "v", "1", "$v"}, object},
	{[]string{"--arg", "v", "first", "--arg", "v", "second", "$v"}, object},
	{[]string{"--argjson", "v", `{"k":[1]}`, "-c", "$v"}, object},
	{[]string{"--argjson", "v", "nope", "."}, object},
	{[]string{"-n", "-c", "--arg", "x", "1", "$ARGS.named"}, ""},
	{[]string{"-n", "-c", "$ARGS.positional", "--args", "a", "b"}, ""},
	{[]string{"-n", "-c", "--args", "$ARGS.positional", "a", "b"}, ""},
	{[]string{"-n", "-c", "$ARGS.positional", "--jsonargs", "1", `{"a":null}`}, ""},
	{[]string{"-n", "-c", "$named", "--slurpfile", "named", "two.json"}, ""},
	{[]string{"-n", "$text", "--rawfile", "text", "two.json"}, ""},
	{[]string{"-n", "1", "--rawfile", "text", "missing"}, ""},
	{[]string{"-c", ".", "one.json", "two.json"}, ""},
	{[]string{"-c", "[., input_filename]", "one.json"}, ""},
	{[]string{"-c", ".", "missing.json"}, ""},
	{[]string{"-c", ".", "missing.json", "one.json"}, ""},
	{[]string{"-f", "prog.jq", "one.json"}, ""},
	{[]string{"--from-file", "prog.jq", "-c", "one.json"}, ""},
	{[]string{"-L", "lib", "-n", `import "m" as m; m::twice(4)`}, ""},
	{[]string{"-Llib", "-n", `include "m"; twice(5)`}, ""},
	{[]string{"-n", "env.NAME, $ENV.NAME, env.EMPTY, env.UNSET"}, ""},
	{[]string{"-r", `.items[] | select(.status.phase == "Running") | .metadata.name`}, pods},
	{[]string{"-c", `[.items[].metadata | {app: .labels.app, name}] | sort_by(.name)`}, pods},
	{[]string{"-c", `.items | group_by(.status.phase) | map({(.[0].status.phase): length}) | add`}, pods},
	{[]string{"-r", `.items[] | [.metadata.name, .status.phase] | @tsv`}, pods},
	{[]string{"-r", `"kind=\(.kind) n=\(.items|length)"`}, pods},
	{[]string{"-c", `del(.items[0]) | .items[0].metadata.labels["app.kubernetes.io/name"] = "x"`}, pods},
	{[]string{"-c", `.items |= map(.status.phase)`}, pods},
	{[]string{"-c", `to_entries | map(.key)`}, object},
	{[]string{"-c", `with_entries(select(.value != null))`}, object},
	{[]string{"-c", `keys, length, (.b|length), (.e|length)`}, object},
	{[]string{"-c", `[paths(scalars)]`}, object},
	{[]string{"-c", `[.. | numbers]`}, object},
	{[]string{"-c", `.a as $x | [.b[] | if type == "number" then . + $x else empty end]`}, object},
	{[]string{"-c", `reduce .b[0:2][] as $n (0; . + $n)`}, object},
	{[]string{"-c", `[foreach (1,2,3) as $n (0; . + $n)]`}, object},
	{[]string{"-c", `try error("x") catch .`}, object},
	{[]string{"-c", `.a // "d", .d // "d"`}, object},
	{[]string{`error("boom")`}, object},
	{[]string{`error({"a":1})`}, object},
	{[]string{`"a", halt, "b"`}, object},
	{[]string{`"bye\n" | halt_error`}, object},
	{[]string{`{"code":1} | halt_error(3)`}, object},
	{[]string{"-r", `@base64, (@base64|@base64d), @uri, @html, @json`}, `"a b&<c>d"`},
	{[]string{"-r", `@sh`}, `"it's"`},
	{[]string{"-r", `@csv`}, `[1,"a\"b",null,true]`},
	{[]string{"-c", `test("^a.c$"), [match("b").offset], sub("b";"X"), [scan("[a-z]")]`}, `"abc"`},
	{[]string{"-c", `capture("(?<m>[0-9]+)-(?<y>[0-9]+)")`}, `"2024-05"`},
	{[]string{"-c", `gsub("(?<x>[a-c])"; "<\(.x)>"), ascii_upcase, ltrimstr("a"), rtrimstr("c")`}, `"abc"`},
	{[]string{"-c", `split(","), (split(",")|join("-")), (split(",")|map(tonumber)|add)`}, `"1,2,3"`},
	{[]string{"-r", `strftime("%Y-%m-%dT%H:%M:%SZ"), todate`}, "1700000000"},
	{[]string{`fromdate`}, `"2023-11-14T22:13:20Z"`},
	{[]string{"-c", `min, max, add, unique, (sort|reverse), index(2), any, all, flatten, first, last`}, "[2,1,2,3]"},
	{[]string{"-c", `., 1e3, 1.5e300, 3.10, 100000000, -0.5, 1/3`}, "0.25"},
	{[]string{"-c", "--stream", "."}, object},
	{[]string{"-c", "--stream", "."}, `[] {} 3 [[],{"a":[]}]`},
	{[]string{"-nc", "--stream", `fromstream(inputs)`}, object},
	{[]string{"-nc", "--stream", `[inputs|select(length==2)|.[0]|join(".")?]`}, `{"a":{"b":1}}`},
	{[]string{"-c", "tojson, (tojson|fromjson)"}, object},
	{[]string{"-c", `input_line_number`}, "1\n2\n"},
	{[]string{"-c", `splits(", *")`}, `"a, b,c"`},
	{[]string{"-c", `walk(if type == "string" then ascii_upcase else . end)`}, object},
	{[]string{"-c", `limit(2; .b[])`}, object},
	{[]string{"-c", `def f(x): x * 2; f(.a), ([.b[]|numbers]|map(f(.)))`}, object},
	{[]string{"-c", `.f * {"g":{"x":1}}`}, object},
	{[]string{"-c", `has("a"), (.b|contains([1])), inside({"a":1,"z":2})`}, `{"a":1}`},
}

// TestDifferencesFromJq holds what is known to differ, with the answers here.
func TestDifferencesFromJq(t *testing.T) {
	tests := map[string]struct {
		args  []string
		stdin string
		want  answer
	}{
		"keys are sorted":             {[]string{"-c", "."}, `{"b":1,"a":2}`, answer{0, "{\"a\":2,\"b\":1}\n", ""}},
		"large numbers keep digits":   {[]string{"."}, "12345678901234567890", answer{0, "12345678901234567890\n", ""}},
		"numbers stay as written":     {[]string{"-c", "."}, "[1.0,0.00001]", answer{0, "[1.0,0.00001]\n", ""}},
		"loc is not there":            {[]string{"-n", "$__loc__"}, "", answer{3, "", "jq: error: variable not defined: $__loc__\njq: 1 compile error\n"}},
		"parse errors have own words": {[]string{"."}, "1\n{bad}", answer{2, "1\n", "jq: parse error: invalid character 'b' looking for beginning of object key string at line 2, column 2\n"}},
		"input ends too early":        {[]string{"."}, "{\"a\":", answer{2, "", "jq: parse error: Unfinished JSON term at EOF at line 1, column 0\n"}},
		"sequences come and go":       {[]string{"--seq", "-c", "."}, "\x1e1\n\x1e[2]\n", answer{0, "\x1e1\n\x1e[2]\n", ""}},
		"two dashes end the options":  {[]string{"--", ".a"}, `{"a":1}`, answer{0, "1\n", ""}},
		"raw output with NUL":         {[]string{"--raw-output0", ".[]"}, `["a","b"]`, answer{0, "a\x00b\x00", ""}},
		"errors say where":            {[]string{".a"}, "\"x\"\n", answer{5, "", "jq: error (at <stdin>:1): expected an object but got: string (\"x\")\n"}},
		"error of the filter":         {[]string{"-n", `error("boom")`}, "", answer{5, "", "jq: error (at <unknown>): boom\n"}},
		"colors":                      {[]string{"-Cc", "."}, `{"a":[null]}`, answer{0, "\x1b[1;39m{\x1b[0m\x1b[34;1m\"a\"\x1b[0m\x1b[1;39m:\x1b[0m\x1b[1;39m[\x1b[0m\x1b[1;30mnull\x1b[0m\x1b[1;39m]\x1b[0m\x1b[1;39m}\x1b[0m\n", ""}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, run(t.Context(), t.TempDir(), tt.args, tt.stdin)); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

func TestEndlessFilterEndsWithTheJob(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if got := run(ctx, t.TempDir(), []string{"-n", "[range(infinite)]"}, ""); got.Code == 0 {
		t.Errorf("%+v", got)
	}
}

func TestSameAsJq(t *testing.T) {
	program, err := exec.LookPath("jq")
	if err != nil {
		t.Fatal("this test compares with jq: apt-get install jq")
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"one.json": `{"n":1}`, "two.json": "1\n[2]\n", "prog.jq": "# a program\n.n\n",
		"lib/m.jq": "def twice(x): x * 2;\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range same {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			cmd := exec.Command(program, tt.args...)
			var out, errs bytes.Buffer
			cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, environ, strings.NewReader(tt.stdin), &out, &errs
			var exit *exec.ExitError
			if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			got := run(t.Context(), dir, tt.args, tt.stdin)
			if d := cmp.Diff(answer{cmd.ProcessState.ExitCode(), out.String(), got.Errors}, got); d != "" {
				t.Errorf("(-jq +here)\n%s\njq says %s", d, &errs)
			}
			if (errs.Len() == 0) != (got.Errors == "") {
				t.Errorf("jq says %q, this one %q", &errs, got.Errors)
			}
		})
	}
}

type answer struct {
	Code        int
	Out, Errors string
}

func run(ctx context.Context, dir string, args []string, stdin string) answer {
	var out, errs strings.Builder
	code := Run(ctx, tool.Invocation{
		Name: "jq", Args: args, Dir: dir, Environ: environ,
		Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs,
	})
	return answer{code, out.String(), errs.String()}
}
