package ciyaml

import (
	"fmt"
	"strings"
	"testing"
)

func TestCompose(t *testing.T) {
	cfg, err := Parse([]byte(`
stages: [deploy]
.one: {image: first, variables: {A: "1", B: "1"}, script: [one], tags: [x]}
.two: {extends: .one, variables: {B: "2"}, script: [two, !reference [.parts, functions]]}
.parts: {functions: [f, !reference [.more, functions]]}
.more: {functions: &f [g]}
job:
  extends: [.one, .two]
  stage: deploy
  variables: {C: "3"}
  after_script: [*f]
plain: {stage: deploy, script: [!reference [.one, script], last]}
`))
	if err != nil {
		t.Fatal(err)
	}
	j := cfg.Jobs[0]
	got := fmt.Sprintln(j.Image.Name, j.Variables, j.Script, j.Tags, j.AfterScript, cfg.Jobs[1].Script)
	got = strings.TrimSpace(got)
	const want = "first [{A 1 false} {B 2 false} {C 3 false}] [two f g] [x] [g] [one last]"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestMatrixMakesJobs(t *testing.T) {
	cfg, err := Parse([]byte(`a: {script: x, variables: {T: none}, parallel: {matrix: [{R: [eu, us], T: gold}, {R: ap}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, j := range cfg.Jobs {
		got = append(got, fmt.Sprint(j.Name, j.Variables))
	}
	const want = "a: [eu, gold][{T gold false} {R eu false}] | a: [us, gold][{T gold false} {R us false}] | a: [ap][{T none false} {R ap false}]"
	if strings.Join(got, " | ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, " | "), want)
	}
}

func TestRulesAskForFiles(t *testing.T) {
	rules := []Rule{{Changes: []string{"a/**/*"}}, {Exists: []string{"*.md"}}, {If: "$X"}}
	for name, c := range map[string]struct {
		files Files
		want  int
	}{
		"unknown changes match":        {Files{All: []string{"x"}}, 2},
		"a changed file in the folder": {Files{Changed: []string{"a/b/c"}, All: []string{"README.md"}}, 3},
		"nothing of it changed":        {Files{Changed: []string{"b/a"}, All: []string{"docs/README.md"}}, 1},
	} {
		if got := len(Among(rules, c.files)); got != c.want {
			t.Errorf("%s: %d rules, want %d", name, got, c.want)
		}
	}
}

func TestComposeErrors(t *testing.T) {
	for in, want := range map[string]string{
		"a: {extends: a, script: x}":                          "in a circle",
		"a: {script: !reference [a, script]}":                 "too deep",
		"a: {script: !reference [a]}":                         "at least two",
		"a: {script: x, parallel: 3}":                         "only a matrix",
		"a: {script: x, parallel: {matrix: [{X: {y: z}}]}}":   "nested array of strings",
		"workflow: {rules: [{unless: x}]}\na: {script: [x]}":  `unknown keyword "unless"`,
		"a: {script: x, rules: [{changes: {compare_to: x}}]}": `unknown keyword "compare_to"`,
	} {
		if _, err := Parse([]byte(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", in, err, want)
		}
	}
}
