package rules

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/access"
	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/strictyaml"
)

// All faults at once, each with its place inside the expression and a remedy.
func TestFaults(t *testing.T) {
	t.Parallel()
	const file = `rules:
  - name: One
    require: ref.nam == "x"
  - name: two
    stage: late
    deny: projekt.path == "x"
    message: m
  - name: three
    require: job.id
    message: m
  - name: four
    deny: "user.roles == 'x'"
    allow: true
    message: m
  - name: five
    require: |
      ref.type == "tag"
        && ref.protectd
    message: m
  - name: five
    stage: request
    namespaces: '["a"]'
  - name: six
    namespaces: ref.name
    mesage: x
`
	_, err := Parse(File{"dir/rules.yaml", []byte(file)})
	var faults strictyaml.Faults
	if !errors.As(err, &faults) {
		t.Fatal(err)
	}
	want := []string{ // the form of the file comes first: an expression is read only when it is right
		`dir/rules.yaml:2:11: rules[0].name: not a rule's name; use lower-case letters, digits and dashes, at most 63`,
		`dir/rules.yaml:5:12: rules[1].stage: unknown value "late"; use one of "job", "request"`,
		`dir/rules.yaml:20:11: rules[5].name: "five" is listed twice; the first one is in line 15; a decision names the rule that made it`,
		`dir/rules.yaml:25:5: rules[6].mesage: unknown key; did you mean "message"?`,
	}
	if diff := cmp.Diff(strings.Join(want, "\n"), faults.Error()); diff != "" {
		t.Errorf("form (-want +got):\n%s", diff)
	}
	formed := strings.NewReplacer("One", "one", "late", "job", "- name: five\n    stage", "- name: other\n    stage", "mesage", "message").Replace(file)
	_, err = Parse(File{"rules.yaml", []byte(formed)})
	want = []string{
		`rules.yaml:2:5: rules[0]: message is missing; tell the author of a refused job what to do instead`,
		`rules.yaml:3:17: rules[0].require: undefined field 'nam'; did you mean "name"?`,
		`rules.yaml:6:11: rules[1].deny: undeclared reference to 'projekt'; did you mean "project"?`,
		`rules.yaml:9:14: rules[2].require: gives a number, want true or false; compare or combine the parts so that the whole gives true or false`,
		`rules.yaml:11:5: rules[3]: has 2 of allow, deny, require and namespaces; a rule does exactly one of them`,
		`rules.yaml:18:15: rules[4].require: undefined field 'protectd'; did you mean "protected"?`,
		`rules.yaml:22:17: rules[5].namespaces: namespaces are narrowed before a job starts; remove stage: request, or write a require about request.namespace`,
		`rules.yaml:24:17: rules[6].namespaces: gives a text, want a list of texts; compare or combine the parts so that the whole gives a list of texts`,
	}
	if diff := cmp.Diff(strings.Join(want, "\n"), fmt.Sprint(err)); diff != "" {
		t.Errorf("expressions (-want +got):\n%s", diff)
	}
}

func TestFaultsOfSingleExpressions(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                                 "1:1: is empty; write rules: [] if there are to be no rules",
		"rules: 1":                         "1:8: rules: want a list",
		"rules: [{}]":                      "rules[0].name: is missing",
		"rule: []":                         `did you mean "rules", a list?`,
		one("deny: request.verb == 'get'"): "a request is known in rules with stage: request only",
		one("deny: ''"):                    "3:11: rules[0].deny: is empty; write a CEL expression, or remove the key",
		one("deny: 'ref.protected =='"):    "3:28: rules[0].deny: Syntax error: mismatched input '<EOF>'",
		one(`deny: "ref.name == 1"`):       "rules[0].deny: found no matching overload for '_==_' applied to '(string, int)'; the two sides are of different types",
		one("deny: ref.name.matches('(')"): "invalid matches argument",
		one("deny: nothing_like_it"):       "docs/guide/rules.md lists what rules may speak of",
		one("deny: [1]"):                   "rules[0].deny: want an expression, got a list; write the expression as one text",
		one(`require: "` + strings.Repeat("true && ", 600) + `true"`):                                    "bytes are over the limit of 4096 bytes; split it into several rules",
		one("when: identity.groups.exists(g, identity.groups.exists(h, g.contains(h)))\n    deny: true"): "units and the limit is 200000; avoid lists inside lists",
		one("deny: true\n    message: '" + strings.Repeat("x", MaxMessage+1) + "'"):                      "is too long; say it in 500 bytes",
		one(">\n      ref.name\n      == x"):                                                             "not valid YAML",
		one("deny: >\n      ref.nam\n      == 'x'\n    message: m"):                                      "3:11: rules[0].deny: undefined field 'nam'",
		one("if: true\n    deny: true"):                                                                  `write "when"`,
	} {
		_, err := Parse(File{"r.yaml", []byte(in)})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n got %v\nwant %s", in, err, want)
		}
	}
}

func TestFilesOfOneDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Load(dir); !errors.Is(err, ErrMissing) {
		t.Errorf("empty directory: %v", err)
	}
	if _, err := Load(filepath.Join(dir, "no")); !errors.Is(err, ErrMissing) {
		t.Errorf("no directory: %v", err)
	}
	write("b.yaml", "rules: [{name: second, deny: true, message: m}]")
	write("a.yml", "rules: [{name: first, deny: true, message: m}, {name: gate, stage: request, deny: true, message: m}]")
	write("..hidden.yaml", "not rules")
	write("readme.txt", "not rules")
	s, err := Load(dir)
	if err != nil || s.Len() != 3 {
		t.Fatalf("%v, %d rules", err, s.Len())
	}
	if v := s.Job(claims(), noon); len(v.Refusals) != 2 || v.Rule != fmt.Sprintf("rule %q (%s:1)", "first", filepath.Join(dir, "a.yml")) {
		t.Errorf("%+v", v)
	}
	before := s.Revision
	write("b.yaml", "rules: [{name: first, deny: ture, message: m}]")
	_, err = Load(dir)
	for _, want := range []string{`"first" is the name of another rule; that one is in ` + filepath.Join(dir, "a.yml") + ":1", "undeclared reference to 'ture'"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	write("b.yaml", "rules: []")
	if s, err = Load(dir); err != nil || s.Revision == before {
		t.Errorf("%v, revision %s", err, s.Revision)
	}
	var many strings.Builder
	many.WriteString("rules:\n")
	for i := range MaxRules {
		fmt.Fprintf(&many, "  - {name: r%d, deny: false, message: m}\n", i)
	}
	write("b.yaml", many.String())
	if _, err = Load(dir); err == nil || !strings.Contains(err.Error(), "202 rules in all files; at most 200 are allowed") {
		t.Errorf("too many rules: %v", err)
	}
	for i := range MaxFiles {
		write(fmt.Sprintf("more%d.yaml", i), "rules: []")
	}
	if _, err = Load(dir); err == nil || !strings.Contains(err.Error(), "over the limit of 32") {
		t.Errorf("too many files: %v", err)
	}
}

// The object is documented field by field.
func TestEveryFieldIsDocumented(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile(filepath.Join("..", "..", "docs", "guide", "rules.md"))
	if err != nil {
		t.Fatal(err)
	}
	for name, typ := range variablesOf(StageRequest) {
		if !typ.IsObject() {
			if !strings.Contains(string(guide), "| `"+name+"` |") {
				t.Errorf("%s is not in docs/guide/rules.md", name)
			}
			continue
		}
		for field := range typ.Fields {
			if !strings.Contains(string(guide), "| `"+name+"."+field+"` |") {
				t.Errorf("%s.%s is not in docs/guide/rules.md", name, field)
			}
		}
	}
}

// Whatever a rules file holds, it is either refused with a place for each fault
// or gives rules that answer.
func FuzzParse(f *testing.F) {
	for _, q := range questions() {
		f.Add([]byte(q.rules))
	}
	f.Add([]byte("rules:\n  - name: r\n    require: |\n      ref.nam\n    message: &a m\n  - <<: *a\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		s, err := Parse(File{"f", content})
		var faults strictyaml.Faults
		switch {
		case err == nil:
			v := s.Job(claims(), noon)
			if v.Refused() && (v.Namespaces != nil || v.Rule == "" || v.Remedy == "") {
				t.Errorf("%+v", v)
			}
			_ = s.Request(claims(), access.Request{Verb: "get", Resource: "pods"}, noon)
		case !errors.As(err, &faults) || len(faults) == 0:
			t.Errorf("no faults: %v", err)
		case slices.ContainsFunc(faults, func(f strictyaml.Fault) bool { return f.Line < 1 || f.Column < 1 || f.Problem == "" }):
			t.Errorf("a fault without a place: %v", faults)
		}
	})
}

// What one decision and one request cost with 50 rules.
func BenchmarkRules(b *testing.B) {
	var content strings.Builder
	content.WriteString("rules:\n")
	for i := range 50 {
		fmt.Fprintf(&content, "  - {name: j%d, when: \"environment.tier == 'production'\", require: \"ref.type == 'tag' && ref.name.matches('^v[0-9]+') && 'maintainer' in user.roles\", message: m}\n", i)
		fmt.Fprintf(&content, "  - {name: r%d, stage: request, deny: \"request.resource == 'secrets' && request.namespace.startsWith('kube-%d')\", message: m}\n", i, i)
	}
	s := parse(b, content.String())
	c := claims(func(c *grant.Claims) { c.Namespaces = []string{"web", "app"} })
	b.Run("job", func(b *testing.B) {
		for b.Loop() {
			if s.Job(c, noon).Refused() {
				b.Fatal("refused")
			}
		}
	})
	b.Run("request", func(b *testing.B) {
		for b.Loop() {
			if err := s.Request(c, access.Request{Verb: "get", Resource: "pods", Namespace: "web"}, noon); err != nil {
				b.Fatal(err)
			}
		}
	})
}
