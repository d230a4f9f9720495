package pipelinefile

import (
	"strings"
	"testing"
)

const example = `
stages: [deploy]
.env: &env
  name: production
  kubernetes: {agent: acme/agents:prod, namespace: shop}
deploy:
  stage: deploy
  environment:
    name: production
    kubernetes:
      agent: $GROUP/agents:prod
      namespace: shop-$CI_ENVIRONMENT_SLUG
      flux_resource_path: x
  script: [make]
aliased:
  environment: *env
dashboard:
  environment: {name: x, kubernetes: {agent: a/b:c, dashboard: {namespace: seen}}}
both:
  environment: {name: x, kubernetes: {namespace: first, dashboard: {namespace: second}}}
short:
  environment: production
merged:
  <<: {environment: {kubernetes: {agent: a/b:c}}}
extended:
  extends: deploy
referenced:
  environment: !reference [deploy, environment]
input:
  environment: {name: x, kubernetes: {agent: "$[[ inputs.agent ]]", namespace: ns}}
number:
  environment: {name: x, kubernetes: {agent: 7, namespace: [a]}}
twice:
  environment: {name: x, kubernetes: {agent: a/b:c, agent: a/b:d}}
list:
  - environment: {kubernetes: {agent: a/b:c}}
"odd: name [x]": {environment: {kubernetes: {agent: odd/one:a}}}
`

func TestRead(t *testing.T) {
	for job, want := range map[string]Target{
		"deploy":           {"$GROUP/agents:prod", "shop-$CI_ENVIRONMENT_SLUG"},
		"deploy 2/5":       {"$GROUP/agents:prod", "shop-$CI_ENVIRONMENT_SLUG"},
		"deploy: [eu, v1]": {"$GROUP/agents:prod", "shop-$CI_ENVIRONMENT_SLUG"},
		"deploy 2":         {},
		"aliased":          {"acme/agents:prod", "shop"},
		"dashboard":        {"a/b:c", "seen"},
		"both":             {"", "first"},
		"odd: name [x]":    {"odd/one:a", ""},
		"input":            {"", "ns"},
		"short":            {}, "merged": {}, "extended": {}, "referenced": {}, "number": {}, "twice": {}, "list": {}, "nobody": {}, "": {}, "stages": {},
	} {
		if got := Read([]byte(example), job); got != want {
			t.Errorf("%s: %+v, want %+v", job, got, want)
		}
	}
}

func TestReadOfOddFiles(t *testing.T) {
	const job = "d: {environment: {kubernetes: {agent: a/b:c}}}\n"
	want := Target{Agent: "a/b:c"}
	for name, tt := range map[string]struct {
		in   string
		want Target
	}{
		"plain":                  {job, want},
		"after a header":         {"spec: {inputs: {x: {}}}\n---\n" + job, want},
		"in a second document":   {"x: 1\n---\n" + job, Target{}},
		"a header only":          {"spec: {}\n", Target{}},
		"empty":                  {"", Target{}},
		"no YAML":                {"\t{", Target{}},
		"a list":                 {"- d\n", Target{}},
		"broken second document": {"spec: {}\n---\n{", Target{}},
		"as large as it may be":  {job + "#" + strings.Repeat("x", MaxSize-len(job)-1), want},
		"too large":              {job + "#" + strings.Repeat("x", MaxSize-len(job)), Target{}},
		"a text too long":        {"d: {environment: {kubernetes: {agent: " + strings.Repeat("a", maxText+1) + "}}}", Target{}},
		"nested too deep":        {"d: " + strings.Repeat("[", 20_000), Target{}},
		"a loop":                 {"d: &d {environment: *d}\n", Target{}},
		"aliases of aliases":     {"a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\n" + job, want},
	} {
		if got := Read([]byte(tt.in), "d"); got != tt.want {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(example), "deploy")
	f.Add([]byte("spec: {}\n---\nd: &d {environment: *d}\n"), "d: [x]")
	f.Fuzz(func(t *testing.T, content []byte, job string) {
		for _, s := range []string{Read(content, job).Agent, Read(content, job).Namespace} {
			if len(s) > maxText || s != "" && len(content) > MaxSize || strings.Contains(s, "$[[") {
				t.Errorf("%q from %q", s, content)
			}
		}
	})
}
