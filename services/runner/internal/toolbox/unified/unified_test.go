package unified

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDiffIsWhatDiffWrites(t *testing.T) {
	program, err := exec.LookPath("diff")
	if err != nil {
		t.Fatal("this test compares with diff: apt-get install diffutils")
	}
	lines := func(s string) string { return strings.ReplaceAll(s, " ", "\n") }
	tests := map[string]struct{ from, to string }{
		"change":            {lines("a b c d e f g h i "), lines("a b c d X f g h i ")},
		"insert":            {lines("a b c "), lines("a b X c ")},
		"delete":            {lines("a b c "), lines("a c ")},
		"into empty":        {"", lines("a b ")},
		"to empty":          {lines("a b "), ""},
		"no newline":        {"a\nb", "a\nc"},
		"newline added":     {"a\nb", "a\nb\n"},
		"two hunks":         {lines("a 1 2 3 4 5 6 7 8 9 10 b "), lines("A 1 2 3 4 5 6 7 8 9 10 B ")},
		"one hunk":          {lines("a 1 2 3 4 5 6 b "), lines("A 1 2 3 4 5 6 B ")},
		"block again":       {lines("x { a } y "), lines("x { a } { a } y ")},
		"first and last":    {lines("a b "), lines("0 a b 9 ")},
		"nothing in common": {lines("a b c "), lines("x y ")},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range map[string]string{"a": tt.from, "b": tt.to} {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			cmd := exec.Command(program, "-u", "--label", "a", "--label", "b", "a", "b")
			cmd.Dir = dir
			want, _ := cmd.Output()
			if d := cmp.Diff(string(want), Diff("a", "b", tt.from, tt.to)); d != "" {
				t.Errorf("(-diff +here)\n%s", d)
			}
		})
	}
}

// TestDiffTurnsOneTextIntoTheOther applies the difference by hand.
func TestDiffTurnsOneTextIntoTheOther(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	text := func() string {
		var b strings.Builder
		for range rng.IntN(40) {
			b.WriteString(string(rune('a'+rng.IntN(5))) + "\n")
		}
		return b.String()
	}
	for range 3000 {
		from, to := text(), text()
		if got := apply(t, from, Hunks(from, to, rng.IntN(4))); got != to {
			t.Fatalf("from %q to %q became %q", from, to, got)
		}
	}
}

func apply(t *testing.T, from string, hunks []Hunk) string {
	t.Helper()
	lines, out, at := Split(from), "", 0
	for _, h := range hunks {
		start := h.FromLine - 1
		if h.FromCount == 0 {
			start++
		}
		for ; at < start; at++ {
			out += lines[at]
		}
		for _, l := range h.Lines {
			if l.Kind != '+' {
				if lines[at] != l.Text {
					t.Fatalf("line %d is %q, the hunk says %q", at+1, lines[at], l.Text)
				}
				at++
			}
			if l.Kind != '-' {
				out += l.Text
			}
		}
	}
	return out + strings.Join(lines[at:], "")
}

func TestEqualTextsHaveNoDifference(t *testing.T) {
	if got := Diff("a", "b", "x\n", "x\n"); got != "" {
		t.Errorf("got %q", got)
	}
}

func TestLargeDifferentTexts(t *testing.T) {
	var a, b strings.Builder
	for i := range 20_000 {
		a.WriteString(strings.Repeat("x", i%97) + "a\n")
		b.WriteString(strings.Repeat("x", i%89) + "b\n")
	}
	if len(Hunks(a.String(), b.String(), Context)) == 0 {
		t.Error("no difference")
	}
}
