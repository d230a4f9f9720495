package jobspec_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/jobspec"
)

func filePath(key string) string { return "/builds/app.tmp/" + key }

func TestExpansionOfReferences(t *testing.T) {
	others := jobspec.Variables{
		{Key: "NAME", Value: "shadowed"},
		{Key: "NAME", Value: "app"},
		{Key: "NAME_2", Value: "two"},
		{Key: "REF", Value: "$NAME"},
		{Key: "RAW", Value: "$NAME", Raw: true},
		{Key: "EMPTY"},
		{Key: "CERT", Value: "-----BEGIN", File: true},
		{Key: "my-key.x", Value: "dashed"},
		{Key: "1", Value: "one"},
	}
	tests := map[string]struct{ value, want string }{
		"no reference":                          {"plain text", "plain text"},
		"a name":                                {"$NAME", "app"},
		"a name in braces":                      {"${NAME}", "app"},
		"a name inside text":                    {"x-$NAME-y", "x-app-y"},
		"braces where text would join the name": {"${NAME}_2", "app_2"},
		"the longest name is meant":             {"$NAME_2", "two"},
		"two in a row":                          {"$NAME${NAME_2}$NAME", "apptwoapp"},
		"non-ASCII text ends a name":            {"ä$NAMEö", "äappö"},
		"duplicates resolve to the last":        {"$NAME", "app"},
		"only one level is resolved":            {"$REF", "$NAME"},
		"a raw variable gives its value":        {"$RAW", "$NAME"},
		"a file variable gives its path":        {"--ca=$CERT", "--ca=/builds/app.tmp/CERT"},
		"unknown is empty":                      {"a${NOPE}b$NOPE", "ab"},
		"empty is empty":                        {"a${EMPTY}b", "ab"},
		"two dollars are one":                   {"$$", "$"},
		"two dollars protect a name":            {"$$NAME", "$NAME"},
		"three dollars":                         {"$$$NAME", "$app"},
		"two dollars in braces":                 {"${$}NAME", "$NAME"},
		"special parameters are empty":          {"a$*b$#c$@d$!e$?f", "abcdef"},
		"special parameter in braces":           {"aa${@}bb", "aabb"},
		"positional parameters are empty":       {"$0$1$9|$10", "|0"},
		"a positional one is never a variable":  {"a${1}b", "ab"},
		"dollar before anything else stays":     {"$/x $. $ñ $", "$/x $. $ñ $"},
		"dollar at the end stays":               {"cost 5$", "cost 5$"},
		"a key no shell could hold":             {"${my-key.x}", "dashed"},
		"defaults are the shell's business":     {"a${NAME:-x}b", "ab"},
		"empty braces are dropped":              {"a${}b", "ab"},
		"an open brace is dropped":              {"a${NAME", "aNAME"},
		"an open brace at the end":              {"a${", "a"},
		"a brace alone stays":                   {"{NAME} } {", "{NAME} } {"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			in := append(jobspec.Variables{{Key: "IT", Value: tt.value}}, others...)
			got := in.Expanded(filePath)
			if got[0].Value != tt.want {
				t.Errorf("%q becomes %q, want %q", tt.value, got[0].Value, tt.want)
			}
			if in[0].Value != tt.value {
				t.Error("the list itself was changed")
			}
		})
	}
}

// TestExpansionObservedInARealRunner is the sample of the runner-api sheet,
// section 6.3.
func TestExpansionObservedInARealRunner(t *testing.T) {
	got := jobspec.Variables{
		{Key: "DUP", Value: "first"},
		{Key: "DUP", Value: "second"},
		{Key: "REF", Value: "x-$DUP-${NOPE}"},
		{Key: "RAW", Value: "x-$DUP", Raw: true},
	}.Expanded(filePath)
	want := jobspec.Variables{
		{Key: "DUP", Value: "first"},
		{Key: "DUP", Value: "second"},
		{Key: "REF", Value: "x-second-"},
		{Key: "RAW", Value: "x-$DUP", Raw: true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestExpansionOfTheSample(t *testing.T) {
	j, err := jobspec.Decode(sample(t))
	if err != nil {
		t.Fatal(err)
	}
	v := j.Variables.Expanded(filePath)
	for key, want := range map[string]string{
		"CI_ENVIRONMENT_URL": "https://production.example.com", "DB_PASSWORD": "p$w0rd", "CI_RUNNER_TAGS": `["towline"]`,
	} {
		if got := v.Get(key); got != want {
			t.Errorf("%s = %q, want %q", key, got, want)
		}
	}
}

func TestExpansionIsBounded(t *testing.T) {
	big := strings.Repeat("x", 1<<20)
	v := jobspec.Variables{
		{Key: "BIG", Value: big},
		{Key: "FITS", Value: "$BIG"},
		{Key: "BOMB", Value: strings.Repeat("$BIG", 1<<20)},
		{Key: "AFTER", Value: "$NAME"},
		{Key: "NAME", Value: "app"},
	}
	got := v.Expanded(filePath)
	if got.Get("FITS") != big {
		t.Error("a value within the bound is not resolved")
	}
	if got.Get("BOMB") != v.Get("BOMB") {
		t.Errorf("a value over the bound has %d bytes, want it unresolved", len(got.Get("BOMB")))
	}
	size := 0
	for i := range got {
		size += len(got[i].Value) - len(v[i].Value)
	}
	if size > jobspec.MaxExpansion {
		t.Errorf("references added %d bytes, want at most %d", size, jobspec.MaxExpansion)
	}
}

func TestExpansionTakesLinearTime(t *testing.T) {
	for name, value := range map[string]string{
		"open braces":             strings.Repeat("${", jobspec.MaxPayload/2),
		"open braces, closed far": strings.Repeat("${", jobspec.MaxPayload/2) + "}",
		"dollars":                 strings.Repeat("$", jobspec.MaxPayload),
	} {
		start := time.Now()
		jobspec.Variables{{Key: "A", Value: value}}.Expanded(filePath)
		if took := time.Since(start); took > 30*time.Second {
			t.Errorf("%s: %s", name, took)
		}
	}
}

func TestEffectiveKeepsTheLastInThePlaceOfTheFirst(t *testing.T) {
	got := jobspec.Variables{
		{Key: "A", Value: "1", Masked: true}, {Key: "B", Value: "2"}, {Key: "A", Value: "3"}, {Key: "C"}, {Key: "A", Value: "4", Raw: true},
	}.Effective()
	want := jobspec.Variables{{Key: "A", Value: "4", Raw: true}, {Key: "B", Value: "2"}, {Key: "C"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestGetTakesTheLast(t *testing.T) {
	v := jobspec.Variables{{Key: "A", Value: "1"}, {Key: "A", Value: "$B"}, {Key: "B", Value: "x"}, {Key: "a", Value: "other case"}}
	if v.Get("A") != "$B" || v.Get("NOPE") != "" {
		t.Errorf("A = %q, NOPE = %q", v.Get("A"), v.Get("NOPE"))
	}
}

func TestMaskedValuesIncludeShadowedOnes(t *testing.T) {
	v := jobspec.Variables{
		{Key: "TOKEN", Value: "old-secret", Masked: true},
		{Key: "OPEN", Value: "public"},
		{Key: "TOKEN", Value: "new-$OPEN", Masked: true},
		{Key: "TOKEN", Value: "harmless"},
	}
	if diff := cmp.Diff([]string{"old-secret", "new-$OPEN"}, v.MaskedValues()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"old-secret", "new-public"}, v.Expanded(filePath).MaskedValues()); diff != "" {
		t.Error(diff)
	}
}

func TestIsShellName(t *testing.T) {
	for name, want := range map[string]bool{
		"A": true, "_": true, "CI_JOB_ID": true, "a1": true,
		"": false, "1A": false, "A-B": false, "A.B": false, "A B": false, "Ä": false, "A\n": false, "A=": false,
	} {
		if got := jobspec.IsShellName(name); got != want {
			t.Errorf("IsShellName(%q) = %t, want %t", name, got, want)
		}
	}
}

// FuzzExpand compares with os.Expand, which the real runner uses.
func FuzzExpand(f *testing.F) {
	for _, s := range []string{"", "$", "$$", "x-$A-${B}", "${", "${}", "${A", "$1${@}$-", "$/x", "${$}", "${A}}$", "$Ä", "${${A}}"} {
		f.Add(s, "v")
	}
	f.Fuzz(func(t *testing.T, value, a string) {
		v := jobspec.Variables{{Key: "A", Value: a}, {Key: "B", Value: "$A", File: true}, {Key: "IT", Value: value}}
		got := v.Expanded(filePath)[2].Value
		want := os.Expand(value, func(name string) string {
			switch name {
			case "$":
				return "$"
			case "A":
				return a
			case "B":
				return filePath("B")
			case "IT":
				return value
			}
			return ""
		})
		if len(want) < jobspec.MaxExpansion && got != want {
			t.Errorf("%q becomes %q, want %q", value, got, want)
		}
	})
}

func BenchmarkExpanded(b *testing.B) {
	j, err := jobspec.Decode(sample(b))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		j.Variables.Expanded(filePath)
	}
}
