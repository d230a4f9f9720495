package shell

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// calm waits until what a script has left behind is gone.
func calm(t *testing.T, before int) {
	t.Helper()
	const slack = 20
	deadline := time.Now().Add(time.Minute)
	for runtime.NumGoroutine() > before+slack {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines are left, %d were there before", runtime.NumGoroutine(), before)
		}
		runtime.Gosched()
	}
}

func TestHostileScriptsEndWithAnError(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		code   int
		says   string
	}{
		"endless recursion":            {"f() { f; }; f; echo never", exitFailure, "f: maximum function nesting level exceeded"},
		"recursion in substitutions":   {"f() { x=$(f); echo $x; }; f; echo never", exitFailure, "maximum function nesting level exceeded"},
		"recursion through eval":       {"s='eval \"$s\"'; eval \"$s\"; echo never", exitFailure, "maximum function nesting level exceeded"},
		"recursion through source":     {"echo '. ./me' > me; . ./me; echo never", exitFailure, "maximum function nesting level exceeded"},
		"recursion of scripts":         {"echo 'bash me' > me; bash me; echo never", exitFork, "Resource temporarily unavailable"},
		"fork bomb":                    {":() { :|:& }; :; while true; do sleep 0.01; done", exitFork, "Resource temporarily unavailable"},
		"background commands for ever": {"while :; do sleep 1000 & done", exitFork, "Resource temporarily unavailable"},
		"brace expansion":              {"echo first; echo {1..1000000000}", exitSyntax, "bash: line 1: brace expansion would exceed"},
		"braces times braces":          {"for i in {1..1000}{1..1000}; do :; done", exitSyntax, "brace expansion would exceed"},
		"braces in eval":               {"set -e; eval 'echo {1..1000000000}'; echo never", exitFailure, "brace expansion would exceed"},
		"nested substitutions":         {"echo " + strings.Repeat("$(", 500_000), exitSyntax, "nests too deeply"},
		"nested subshells":             {strings.Repeat("( ", 500_000) + "true" + strings.Repeat(" )", 500_000), exitSyntax, "nests too deeply"},
		"nesting in eval":              {"set -e; s='('; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18; do s=$s$s; done; eval \"$s\"; echo never", exitSyntax, "nests too deeply"},
		"ten megabytes":                {strings.Repeat("echo hello\n", 1_000_000), exitSyntax, "more than 4194304"},
	} {
		t.Run(name, func(t *testing.T) {
			before := runtime.NumGoroutine()
			got := plain(t).run(t, c.script)
			if got.code != c.code || got.err != nil || got.out != "" {
				t.Errorf("exit %d, want %d; error %v, output %q", got.code, c.code, got.err, got.out)
			}
			if !strings.Contains(got.errs, c.says) {
				t.Errorf("standard error %.300q does not say %q", got.errs, c.says)
			}
			calm(t, before)
		})
	}
}

func TestWhatIsNotSupportedIsSaidBeforeAnythingRuns(t *testing.T) {
	for name, c := range map[string]struct{ line, says string }{
		"descriptor opened":      {"exec 3>&1", "descriptor 3"},
		"descriptor written to":  {"echo x >&4", "descriptor 4"},
		"descriptor read":        {"while read -u 5 l; do :; done", "read -u 5"},
		"named descriptor":       {"exec {fd}>f", "descriptor {fd}"},
		"both ways":              {"exec 0<>f", "<> is not supported"},
		"coproc":                 {"coproc cat", "coproc"},
		"integer attribute":      {"declare -i n=1", "declare -i"},
		"exported function":      {"f() { :; }; export -f f", "functions are not passed to other shells"},
		"octal number":           {"x=$((1 + 08))", "08: not a number"},
		"division by zero":       {"echo $((1 / 0))", "division by 0"},
		"patterns in expansions": {"echo ${v%%@(a|b)}", "extended patterns"},
	} {
		t.Run(name, func(t *testing.T) {
			got := plain(t).run(t, "echo first\n"+c.line)
			if got.code != exitSyntax || got.out != "" || !strings.HasPrefix(got.errs, "bash: line 2: ") || !strings.Contains(got.errs, c.says) {
				t.Errorf("exit %d, output %q, standard error %q", got.code, got.out, got.errs)
			}
		})
	}
}

func TestCancelledScriptsStopAtOnce(t *testing.T) {
	errStop := errors.New("stop")
	for name, script := range map[string]string{
		"sleep":                   "sleep 100",
		"program":                 "busybox sleep 100",
		"program that ignores it": "busybox sh -c 'trap \"\" TERM; while :; do :; done'",
		"loop":                    "while :; do :; done",
		"pipeline":                "busybox sleep 100 | busybox cat | while read l; do :; done",
		"background and wait":     "sleep 100 & busybox sleep 100 & wait",
		"substitution":            "x=$(busybox sleep 100)",
		"called back":             "echo a | busybox xargs sh -c 'sleep 100'",
		"read":                    "mkfifo f; busybox sleep 100 > f & read x < f",
		"nested":                  "sh -c 'sh -c \"sleep 100\"'",
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			dir := t.TempDir()
			timer := time.AfterFunc(100*time.Millisecond, func() { cancel(errStop) })
			defer timer.Stop()
			began := time.Now()
			got := boxed(t).runIn(ctx, t, dir, script)
			if !errors.Is(got.err, errStop) {
				t.Errorf("error %v, exit %d, standard error %q", got.err, got.code, got.errs)
			}
			if took := time.Since(began); took > 30*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}

func TestTrapsRunWhenAScriptIsCancelled(t *testing.T) {
	errStop := errors.New("stop")
	for script, want := range map[string]string{
		"trap 'echo exit' EXIT; : > began; sleep 100":                         "exit\n",
		"v=1; trap 'echo term $v; kill $!' TERM; sleep 100 & : > began; wait": "term 1\n",
		"trap 'echo term' TERM; trap 'echo exit' EXIT; : > began; sleep 100":  "term\nexit\n",
		"trap '' TERM; trap - EXIT; : > began; sleep 100":                     "",
	} {
		dir := t.TempDir()
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() {
			for _, err := os.Stat(filepath.Join(dir, "began")); err != nil; _, err = os.Stat(filepath.Join(dir, "began")) {
				runtime.Gosched()
			}
			cancel(errStop)
		}()
		got := plain(t).runIn(ctx, t, dir, script)
		if got.out != want || !errors.Is(got.err, errStop) {
			t.Errorf("%s\noutput %q, want %q; error %v; standard error %q", script, got.out, want, got.err, got.errs)
		}
	}
}

func TestScriptsSideBySide(t *testing.T) {
	b := boxed(t)
	for i := range 8 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			script := fmt.Sprintf(`x=%d; (sleep 0.01; exit $x) & p=$!; y=$(echo $x | busybox sed 's/^/n/'); wait $p; echo $? $y; echo a | xargs -I{} sh -c "echo {}$x"`, i)
			want := fmt.Sprintf("%d n%d\na%d\n", i, i, i)
			if got := b.run(t, script); got.out != want {
				t.Errorf("output %q, want %q; standard error %q", got.out, want, got.errs)
			}
		})
	}
}
