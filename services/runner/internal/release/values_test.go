package release

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseValues(t *testing.T) {
	got, err := parseValues([]byte("a: {b: 1}\nc: [x]\n"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"a": map[string]any{"b": 1.0}, "c": []any{"x"}}, got); diff != "" {
		t.Error(diff)
	}
	for name, text := range map[string]string{
		"large": "a: " + strings.Repeat("x", maxValues),
		"deep":  strings.Repeat("{a: ", maxValuesDepth+1) + "1" + strings.Repeat("}", maxValuesDepth+1),
	} {
		if _, err := parseValues([]byte(text)); !errors.Is(err, ErrLimit) {
			t.Errorf("%s: %v", name, err)
		}
	}
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'k'; c++ {
		prev := "*" + string(c-1)
		bomb += string(c) + ": &" + string(c) + " [" + strings.TrimSuffix(strings.Repeat(prev+",", 9), ",") + "]\n"
	}
	if _, err := parseValues([]byte(bomb)); err == nil {
		t.Error("a bomb of aliases was accepted")
	}
}

func TestNest(t *testing.T) {
	got, err := nest(`ingress.annotations.example\.com/x`, "y")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"ingress": map[string]any{"annotations": map[string]any{"example.com/x": "y"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestBlacking(t *testing.T) {
	var b blacking
	b.learn(map[string]any{"a": []any{"hunter22", "line one\nline two"}, "port": 80.0, "pin": 123456.0, "on": true})
	for in, want := range map[string]string{
		"the password hunter22 is bad": "the password [redacted] is bad",
		"aHVudGVyMjI=":                 "[redacted]",
		`"line one\nline two"`:         `"[redacted]"`,
		"x: line two":                  "x: [redacted]",
		"port 80, on true":             "port 80, on true",
		"pin 123456":                   "pin [redacted]",
	} {
		if got := b.hide(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

// FuzzValues: no values panic, and merging them gives something that can be
// written.
func FuzzValues(f *testing.F) {
	f.Add([]byte("a: {b: 1}"), "a.b", "x")
	f.Add([]byte("a: &a [*a]"), `a\.b`, "")
	f.Fuzz(func(t *testing.T, text []byte, target, value string) {
		values, err := parseValues(text)
		if err != nil {
			return
		}
		nested, err := nest(target, value)
		if err != nil {
			return
		}
		if _, err := digest(nil, values, nil); err != nil {
			t.Error(err)
		}
		if _, err := digest(nil, nested, nil); err != nil {
			t.Error(err)
		}
	})
}
