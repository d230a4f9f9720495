package envsubst

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

var environ = []string{"FOO=old", "FOO=foo", "BAR=b r", "EMPTY=", "_u1=under", "DOLLAR=$FOO", "LC_ALL=C"}

// cases are what GNU's envsubst 0.21 answered.
var cases = []struct {
	args  []string
	stdin string
	want  string
}{
	{nil, "a $FOO b ${BAR}\n", "a foo b b r\n"},
	{nil, "no newline $FOO", "no newline foo"},
	{nil, "$UNSET|${UNSET}|$EMPTY|", "|||"},
	{nil, "${FOO:-x} ${FOO-x} ${#FOO} ${FOO} $FOO_ $FOO-", "${FOO:-x} ${FOO-x} ${#FOO} foo  foo-"},
	{nil, "$$FOO $ $1 ${1} ${} $@ \\$FOO '$FOO'", "$foo $ $1 ${1} ${} $@ \\foo 'foo'"},
	{nil, "${FOO ${FOO$BAR} ${FOO", "${FOO ${FOOb r} ${FOO"},
	{nil, "$_u1 ${_u1} $DOLLAR é$FOOé \x80\xff", "under under $FOO éfooé \x80\xff"},
	{nil, "", ""},
	{nil, "$", "$"},
	{nil, "${", "${"},
	{[]string{"$FOO"}, "$FOO $BAR ${FOO} ${BAR}", "foo $BAR foo ${BAR}"},
	{[]string{"$FOO ${EMPTY} $UNSET"}, "$FOO|$EMPTY|$UNSET|$BAR", "foo|||$BAR"},
	{[]string{"nothing"}, "$FOO", "$FOO"},
	{[]string{""}, "$FOO ${FOO}", "$FOO ${FOO}"},
	{[]string{"-v", "$FOO a ${BAR} $FOO ${BAZ:-x} $_u1"}, "", "FOO\nBAR\nFOO\n_u1\n"},
	{[]string{"--variables", "none"}, "", ""},
}

func TestGoldenCases(t *testing.T) {
	for _, tt := range cases {
		code, out, errs := run(t, tt.args, tt.stdin)
		if code != 0 || errs != "" || out != tt.want {
			t.Errorf("%q < %q: %d, %q, %q; want %q", tt.args, tt.stdin, code, out, errs, tt.want)
		}
	}
}

// TestGoldenCasesAreGNUs runs where GNU's envsubst is installed; the table above
// holds its answers for everywhere else.
func TestGoldenCasesAreGNUs(t *testing.T) {
	program, err := exec.LookPath("envsubst")
	if err != nil {
		t.Log("gettext-base is not installed: nothing to compare with")
		return
	}
	for _, tt := range cases {
		cmd := exec.Command(program, tt.args...)
		cmd.Env, cmd.Stdin = environ, strings.NewReader(tt.stdin)
		if out, err := cmd.Output(); err != nil || string(out) != tt.want {
			t.Errorf("%q < %q: GNU answers %q, %v", tt.args, tt.stdin, out, err)
		}
	}
}

func TestWrongCallsAreRefused(t *testing.T) {
	for want, args := range map[string][]string{
		"envsubst: too many arguments":  {"a", "b"},
		"envsubst: missing arguments":   {"-v"},
		"envsubst: unknown flag: --how": {"--how"},
	} {
		code, out, errs := run(t, args, "$FOO")
		if code != 1 || out != "" || !strings.HasPrefix(errs, want) {
			t.Errorf("%q: %d, %q, %q", args, code, out, errs)
		}
	}
}

func run(t *testing.T, args []string, stdin string) (int, string, string) {
	t.Helper()
	var out, errs strings.Builder
	code := Run(t.Context(), tool.Invocation{
		Name: "envsubst", Args: args, Dir: t.TempDir(), Environ: environ,
		Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs,
	})
	return code, out.String(), errs.String()
}
