package main

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
)

const sample = `# The file.

# Where GitLab is.
gitlab:
  # Required.
  url: ""
  # @schema {minimum: 1}
  port: 443
# @schema {ref: strings}
labels: {}
list: []
# @schema {type: [boolean, "null"]}
create:
`

func TestFilesFollowFromTheValues(t *testing.T) {
	made, err := files([]byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := json.Unmarshal(made["charts/towline/values.schema.json"], &schema); err != nil {
		t.Fatal(err)
	}
	at := func(path ...string) any {
		var v any = schema
		for _, p := range path {
			v = v.(map[string]any)[p]
		}
		return v
	}
	if at("properties", "gitlab", "additionalProperties") != false || at("properties", "gitlab", "description") != "Where GitLab is." ||
		at("properties", "gitlab", "properties", "url", "type") != "string" || at("properties", "gitlab", "properties", "port", "minimum") != 1.0 ||
		at("properties", "list", "items", "type") != "string" {
		t.Errorf("schema:\n%s", made["charts/towline/values.schema.json"])
	}
	for _, want := range []string{"| `gitlab.url` |  | Required. |", "| `gitlab.port` | `443` |  |", "| **`gitlab`** | | Where GitLab is. |", "| `labels` | `{}` |"} {
		if !strings.Contains(string(made["docs/reference/values.md"]), want) {
			t.Errorf("the table lacks %s:\n%s", want, made["docs/reference/values.md"])
		}
	}
}

func TestFaultsNameTheKey(t *testing.T) {
	for source, want := range map[string]string{
		"a: {}":                              "a: a map without keys",
		"a:\n  # @schema {ref: no}\n  b: {}": "a.b: there is no definition \"no\"",
		"# @schema {\na: 1":                  "a: @schema",
		"- a":                                "it is no map",
	} {
		if _, err := files([]byte(source)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", source, err, want)
		}
	}
}

func TestSlipsAreNamed(t *testing.T) {
	re := regexp.MustCompile(nearly("drainTimeout"))
	for _, slip := range []string{"drainTimeOut", "draintimeout", "drain_timeout", "drain-timeout", "drainTimout", "drainTimeoutt", "darinTimeout", "drainTimeou", "DRAINTIMEOUT", "dreinTimeout"} {
		if !re.MatchString(slip) {
			t.Errorf("%s is no slip", slip)
		}
	}
	for _, other := range []string{"drainTimeout", "drain", "timeout", "drainTimeoutSeconds"} {
		if re.MatchString(other) {
			t.Errorf("%s is taken for a slip", other)
		}
	}
}

// One of two names that are nearly the same is never refused for the other.
func TestNeighboursStandBesideEachOther(t *testing.T) {
	near := misspelt(object{"user": nil, "users": nil, "url": nil})
	for pattern := range near {
		for _, right := range []string{"user", "users", "url"} {
			if regexp.MustCompile(pattern).MatchString(right) {
				t.Errorf("%s refuses %s", pattern, right)
			}
		}
	}
	if len(near) != 1 {
		t.Errorf("%d patterns", len(near))
	}
}
