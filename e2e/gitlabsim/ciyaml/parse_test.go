package ciyaml

import (
	"fmt"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	cfg, err := Parse([]byte(`
stages: [build, ship]
variables: {A: 1, B: {value: $A, expand: false, description: d}}
.hidden: &base
  tags: [x]
  variables: {M: merged}
default: {before_script: [one, [two, three]], timeout: 1h 30m, retry: 2, interruptible: true}
job:
  <<: *base
  stage: build
  script: echo
  needs: []
  timeout: 90 seconds
  environment:
    name: prod
    deployment_tier: production
    kubernetes: {agent: "p:a", dashboard: {namespace: ns}}
  artifacts: {paths: [a], exclude: [b], reports: {junit: x.xml, coverage_report: {coverage_format: cobertura, path: c.xml}}, when: always}
  id_tokens: {T: {aud: [a]}}
  retry: {max: 1, when: [script_failure], exit_codes: 7}
  allow_failure: {exit_codes: [1, 2]}
  hooks: {pre_get_sources_script: x}
  cache: [{key: a, paths: [p]}]
next:
  stage: ship
  script: [x]
  needs: [job, {job: gone, optional: true, artifacts: false}]
  dependencies: [job]
  tags: []
`))
	if err != nil {
		t.Fatal(err)
	}
	j := cfg.Jobs[0]
	got := fmt.Sprintf("%v %v %v %v %d %v %v %v", cfg.Stages, cfg.Variables, j.BeforeScript, j.Script, j.Timeout, j.Tags, j.Variables, *j.Environment)
	want := "[.pre build ship .post] [{A 1 false} {B $A true}] [one two three] [echo] 90 [x] [{M merged false}] {prod start  production ns p:a}"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	got = fmt.Sprintf("%v %v %v %v %v %v", *j.Artifacts, j.IDTokens, j.Retry, j.AllowFailure, j.HasNeeds, j.Cache)
	want = "{ [a] [b] false always  [{junit [x.xml]} {cobertura [c.xml]}]} [{T [a] true}] {1 [script_failure] [7]} {true false [1 2]} true [{a [p] false pull-push on_success []}]"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if n := cfg.Jobs[1]; n.Timeout != 5400 || n.Retry.Max != 2 || len(n.Needs) != 2 || n.Needs[1].Artifacts || len(n.Tags) != 0 {
		t.Errorf("next = %+v", n)
	}
}

func TestErrorsNameTheKey(t *testing.T) {
	for in, want := range map[string]string{
		"":                                 "empty",
		"a: {script: [x], extends: b}":     "a: unknown keys in `extends` (b)",
		"default: {script: x}\na: {}":      `default: unknown keyword "script"`,
		"include: x.yml\na: {script: x}":   `unknown keyword "include"`,
		"a: {tags: [x]}":                   "script can't be blank",
		"a: {script: x, stage: z}":         "stage z does not exist",
		"a: {script: x, when: delayed}":    `"delayed"`,
		"a: {script: x, timeout: soon}":    "duration",
		"a: {script: x, retry: 9}":         "0 to 2",
		"a: {script: x, image: {nme: y}}":  `jobs:a:image: unknown keyword "nme"`,
		"a: {script: [{a: b}]}":            "nested array of strings",
		"a: {script: !reference [x, y]}":   "!reference [x, y] could not be found",
		"a: {script: x, needs: [b]}":       "undefined need: b",
		".a: {script: x}":                  "at least one visible job",
		"a: [":                             "invalid YAML",
		"a: {script: x, rules: [{if: $}]}": "invalid expression",
		"a: {script: x, needs: [b]}\nb: {script: x, needs: [a]}": "circular",
	} {
		_, err := Parse([]byte(in))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", in, err, want)
		}
	}
}

func TestEval(t *testing.T) {
	vars := func(key string) (string, bool) {
		v, ok := map[string]string{"A": "a", "EMPTY": "", "BRANCH": "feature/x"}[key]
		return v, ok
	}
	for expr, want := range map[string]bool{
		`$A == "a"`: true, `$A != 'a'`: false, `$A`: true, `$EMPTY`: false, `$NONE`: false, `$NONE == null`: true,
		`$EMPTY == null`: false, `$BRANCH =~ /^feature\//`: true, `$BRANCH !~ /X/i`: false, `$A == "b" || $A == "a"`: true,
		`$A && ($NONE || $EMPTY)`: false, `"a" == $A && $BRANCH`: true,
	} {
		if got, err := Eval(expr, vars); err != nil || got != want {
			t.Errorf("%s = %v, %v", expr, got, err)
		}
	}
	for _, expr := range []string{`$A ==`, `(`, `$A "b"`, `=~ $A`, `$A =~ "x"`} {
		if _, err := Eval(expr, vars); err == nil {
			t.Errorf("%s is accepted", expr)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("a: {script: [x], needs: []}"))
	f.Fuzz(func(_ *testing.T, data []byte) { _, _ = Parse(data) })
}
