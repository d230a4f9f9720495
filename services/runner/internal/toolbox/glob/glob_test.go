package glob

import (
	"testing"
	"unicode/utf8"
)

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		mode          Mode
		want          bool
	}{
		{"*.o", "a.o", Mode{}, true},
		{"*.o", "d/a.o", Mode{}, true},
		{"*.o", "d/a.o", Mode{InFolder: true}, false},
		{"**/a", "b/c/a", Mode{InFolder: true}, false},
		{"*", ".hidden", Mode{InFolder: true}, true},
		{"[!a].o", "a.o", Mode{}, false},
		{"[!a].o", "b.o", Mode{}, true},
		{"[[:digit:]]", "7", Mode{}, true},
		{"[a", "[a", Mode{}, true},
		{`\*`, "*", Mode{}, true},
		{`\*`, "a", Mode{}, false},
		{`a\`, "a", Mode{}, false},
		{"a.c", "abc", Mode{}, false},
		{"a|b", "a", Mode{}, false},
		{"a|b", "a|b", Mode{}, true},
		{"*", "a", Mode{Literal: true}, false},
		{"*", "*", Mode{Literal: true}, true},
		{"A", "a", Mode{AnyCase: true}, true},
		{"b", "a/b", Mode{}, false},
		{"b", "a/b", Mode{Trailing: true}, true},
		{"b", "ab", Mode{Trailing: true}, false},
		{"a", "a/b", Mode{Below: true}, true},
		{"a", "ab", Mode{Below: true}, false},
		{"a", "x/a/b\nc", Mode{Trailing: true, Below: true}, true},
		{"?", "é", Mode{}, true},
		{"?", "\xff", Mode{}, true},
	} {
		if got := Compile(c.pattern, c.mode).Match(c.name); got != c.want {
			t.Errorf("%q and %q %+v: %v", c.pattern, c.name, c.mode, got)
		}
	}
	if (Pattern{}).Match("") {
		t.Error("no pattern matches")
	}
}

func FuzzCompile(f *testing.F) {
	for _, text := range []string{"*.o", "[!a-z]?", `\`, "[[:alpha:]]", "[a", "{a,b}", "[z-a]"} {
		f.Add(text, "d/a.o", true, true)
	}
	f.Fuzz(func(t *testing.T, text, name string, below, inFolder bool) {
		literal := Compile(text, Mode{Literal: true, Trailing: true, Below: below})
		if utf8.ValidString(text) && (!literal.Match(text) || !literal.Match("d/"+text) || below && !literal.Match(text+"/"+name)) {
			t.Errorf("%q does not match itself", text)
		}
		Compile(text, Mode{InFolder: inFolder, Below: below}).Match(name)
	})
}
