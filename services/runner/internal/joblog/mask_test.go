package joblog

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// hide masks a text given in pieces.
func hide(phrases, prefixes []string, pieces ...string) string {
	m := newSecrets(phrases, prefixes).masker()
	var out strings.Builder
	for _, p := range pieces {
		out.Write(m.write([]byte(p)))
	}
	out.Write(m.flush())
	return out.String()
}

// maskCases follow section 17 of the runner-api sheet.
var maskCases = []struct {
	name              string
	phrases, prefixes []string
	in, want          string
}{
	{"nothing to hide", nil, nil, "hello\n", "hello\n"},
	{"a value", []string{"hunter2"}, nil, "x hunter2 y", "x [MASKED] y"},
	{"a value in the line that shows the command", []string{"s3cr3t-value"}, nil, "\x1b[32;1m$ echo s3cr3t-value\x1b[0;m\n", "\x1b[32;1m$ echo [MASKED]\x1b[0;m\n"},
	{"a value twice", []string{"abc"}, nil, "abcabc abc", "[MASKED][MASKED] [MASKED]"},
	{"empty values and spaces are no values", []string{"", "  ", "\n\t"}, nil, "a  b\n\tc", "a  b\n\tc"},
	{"values are trimmed", []string{"  spaced \n"}, nil, "<spaced>", "<[MASKED]>"},
	{"a value of one character", []string{"x"}, nil, "axb", "a[MASKED]b"},
	{"case matters", []string{"Secret"}, nil, "secret SECRET Secret", "secret SECRET [MASKED]"},
	{"the longest first", []string{"abc", "abcdef", "abcd"}, nil, "abcdef abcde abcx", "[MASKED] [MASKED]e [MASKED]x"},
	{"a value inside another", []string{"abcdef", "cd"}, nil, "abcdef abcdx", "[MASKED] ab[MASKED]x"},
	{"values that overlap", []string{"abcd", "cdef"}, nil, "abcdef", "[MASKED]ef"},
	{"a false start inside a start", []string{"aab"}, nil, "aaab", "a[MASKED]"},
	{"a repeated start", []string{"ababac"}, nil, "abababac", "ab[MASKED]"},
	{"the start of a value at the end", []string{"hunter2"}, nil, "Password: hunt", "Password: hunt"},
	{"a shorter value at the end", []string{"hunter2", "hunt"}, nil, "Password: hunt", "Password: [MASKED]"},
	{"several bytes per character", []string{"pässwörd"}, nil, "ä pässwörd ö", "ä [MASKED] ö"},
	{"a value that looks like the mask", []string{"MASKED"}, nil, "MASKED [MASKED]", "[MASKED] [[MASKED]]"},

	{"several lines as a whole", []string{"first-line\nsecond-line"}, nil, ">first-line\nsecond-line<", ">[MASKED]<"},
	{"several lines one by one", []string{"first-line\nsecond-line\n"}, nil, "x second-line\nfirst-line y", "x [MASKED]\n[MASKED] y"},
	{"lines with carriage returns", []string{"first-line\r\nsecond-line"}, nil, "first-line\nsecond-line\n", "[MASKED]\n[MASKED]\n"},
	{"short lines are not values", []string{"{\n  \"key\": \"a-long-value\"\n}"}, nil, "{}\n\"key\": \"a-long-value\"", "{}\n[MASKED]"},

	{"a token", nil, nil, "token glpat-AbC1.2=x-y_z end", "token glpat-[MASKED] end"},
	{"a token with all its characters", nil, nil, "glpat-09azAZ._=-x/y", "glpat-[MASKED]/y"},
	{"a token in quotes", nil, nil, `"glrt-abc"`, `"glrt-[MASKED]"`},
	{"only the prefix", nil, nil, "glpat- and glpat-", "glpat- and glpat-"},
	{
		"all the usual prefixes", nil, nil, "gloas-a gldt-a glrt-a glcbt-a glrtr-a glptt-a glft-a glimt-a glagent-a glsoat-a glffct-a _gitlab_session=a gltok-a",
		"gloas-[MASKED] gldt-[MASKED] glrt-[MASKED] glcbt-[MASKED] glrtr-[MASKED] glptt-[MASKED] glft-[MASKED] glimt-[MASKED] glagent-[MASKED] glsoat-[MASKED] glffct-[MASKED] _gitlab_session=[MASKED] gltok-[MASKED]",
	},
	{"a prefix of the instance", nil, []string{" corp- ", "", "corp-"}, "corp-abc glpat-abc", "corp-[MASKED] glpat-[MASKED]"},
	{"a prefix in another case", nil, nil, "GLPAT-abc", "GLPAT-abc"},
	{"two tokens", nil, nil, "glpat-a,glpat-b", "glpat-[MASKED],glpat-[MASKED]"},

	{"an address", nil, nil, "GET /x?private_token=abc&y=1", "GET /x?private_token=[MASKED]&y=1"},
	{"a later parameter", nil, nil, "/x?a=1&authenticity_token=abc&b=2", "/x?a=1&authenticity_token=[MASKED]&b=2"},
	{"case does not matter there", nil, nil, "?PRIVATE_Token=abc ?X-Amz-Signature=0f&X-AMZ-Credential=k%2F1&x-amz-security-token=t", "?PRIVATE_Token=[MASKED] ?X-Amz-Signature=[MASKED]&X-AMZ-Credential=[MASKED]&x-amz-security-token=[MASKED]"},
	{"a feed", nil, nil, "https://h/a.atom?rss_token=abc\n", "https://h/a.atom?rss_token=[MASKED]\n"},
	{"an empty parameter", nil, nil, "?private_token=&a=1", "?private_token=&a=1"},
	{"no parameter without ? or &", nil, nil, "private_token=abc", "private_token=abc"},
	{"another parameter", nil, nil, "?my_private_token=abc", "?my_private_token=abc"},
	{"a token as parameter", nil, nil, "?private_token=glpat-abc&b", "?private_token=[MASKED]&b"},

	{"a value that begins with a prefix", []string{"glpat-abc!def"}, nil, "glpat-abc!def", "[MASKED]"},
	{"a value inside a token", []string{"bc!de"}, nil, "glpat-abc!def", "glpat-[MASKED][MASKED]f"},
	{"a value that goes on after a parameter", []string{"abc&def"}, nil, "?private_token=abc&def&x=1", "?private_token=[MASKED]&x=1"},
	{"a value across the name of a parameter", []string{"token=abc"}, nil, "?private_token=abc", "?private_[MASKED]"},
}

func TestMasking(t *testing.T) {
	for _, c := range maskCases {
		t.Run(c.name, func(t *testing.T) {
			want := c.want
			if got := hide(c.phrases, c.prefixes, c.in); got != want {
				t.Fatalf("got  %q\nwant %q", got, want)
			}
			for i := range len(c.in) + 1 {
				for j := i; j <= len(c.in); j++ {
					if got := hide(c.phrases, c.prefixes, c.in[:i], c.in[i:j], c.in[j:]); got != want {
						t.Fatalf("split at %d and %d: %q\nwant %q", i, j, got, want)
					}
				}
			}
			if got := hide(c.phrases, c.prefixes, strings.Split(c.in, "")...); utf8.ValidString(c.in) && got != want {
				t.Errorf("character by character: %q\nwant %q", got, want)
			}
		})
	}
}

func TestOnlyABeginningOfASecretIsHeldBack(t *testing.T) {
	m := newSecrets([]string{"hunter2", "hh"}, nil).masker()
	for _, step := range []struct{ in, out string }{
		{"Are you sure? [Y/n", "Are you sure? [Y/n"}, // a prompt that nobody ends
		{"Password: h", "Password: "},                // may be the beginning
		{"e", "he"},                                  // is not
		{"hun", ""},
		{"gry", "hungry"},
		{"h", ""},
		{"hu", "[MASKED]u"}, // the shorter one is complete and no longer one begins with it
		{"hunter2", "[MASKED]"},
		{"?", ""}, // of an address
		{" ", "? "},
		{"glpat-", "glpat-"}, // the prefix itself is no secret
		{"a", "[MASKED]"},    // and its token is hidden at once
		{"b", ""},
		{" c", " c"},
	} {
		if got := string(m.write([]byte(step.in))); got != step.out {
			t.Fatalf("after %q: %q, want %q", step.in, got, step.out)
		}
	}
	if rest := m.flush(); len(rest) != 0 {
		t.Errorf("held back to the end: %q", rest)
	}
}

func TestWhichPrefixesCount(t *testing.T) {
	var many []string
	for i := range 30 { // the longest first
		many = append(many, strings.Repeat("p", 40-i)+"-")
	}
	got := uniquePrefixes(append(many, many...))
	if len(got) != len(defaultPrefixes)+maxPrefixes {
		t.Fatalf("%d prefixes", len(got))
	}
	for i, p := range got[len(defaultPrefixes):] {
		if want := 12 + i; len(p) != want {
			t.Errorf("prefix %d has %d bytes, want %d: the shortest count", i, len(p), want)
		}
	}
	if len(uniquePrefixes(nil)) != len(defaultPrefixes) {
		t.Error("the usual ones are not all there")
	}
}

func TestNoValueIsLeftOutForLines(t *testing.T) {
	var lines strings.Builder
	for i := range maxLines + 10 {
		lines.WriteString(strings.Repeat("x", 8+i%50) + strings.Repeat("y", i/50) + "\n")
	}
	got := wholePhrases([]string{lines.String(), "the last value"})
	if len(got) != maxLines+2 || got[1] != "the last value" {
		t.Errorf("%d phrases; second is %.20q", len(got), got[1])
	}
}

func FuzzMask(f *testing.F) {
	for _, c := range maskCases {
		f.Add(c.in, strings.Join(c.phrases, "|"), 1, 3)
	}
	f.Fuzz(func(t *testing.T, in, values string, a, b int) {
		in, values = strings.ToValidUTF8(in, ""), strings.ToValidUTF8(values, "")
		phrases := strings.Split(values, "|")
		a = min(max(a, 0), len(in))
		b = min(max(b, a), len(in))
		got := hide(phrases, nil, in[:a], in[a:b], in[b:])
		if whole := hide(phrases, nil, in); got != whole {
			t.Fatalf("split: %q\nwhole: %q", got, whole)
		}
		shown := strings.ReplaceAll(got, masked, "\x00")
		clean := true
		for _, p := range wholePhrases(phrases) {
			if !strings.Contains(p, "\x00") && strings.Contains(shown, p) {
				t.Fatalf("%q is shown in %q", p, got)
			}
			clean = clean && !strings.Contains(in, p)
		}
		for _, p := range append(urlParameters, defaultPrefixes...) {
			clean = clean && !strings.Contains(strings.ToLower(in), p)
		}
		if clean && got != in {
			t.Fatalf("nothing to hide, but %q became %q", in, got)
		}
	})
}
