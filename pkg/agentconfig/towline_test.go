package agentconfig

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/strictyaml"
)

const refined = `refine:
  - namespaces: [app, "review-{environment_slug}"]
  - for:
      projects: [group/app]
      groups: [group/sub]
      environments: [production, "prod/*"]
      refs: [main]
      tags: ["v*"]
    except: {environments: [production/test]}
    environments: ["*"]
    refs: [main, "release/*"]
    tags: ["v*"]
    roles: [maintainer, owner]
    users: [alice]
    namespaces: [app]
`

func TestParseTowlineReadsTheWholeSchema(t *testing.T) {
	got, notices, err := ParseTowline("towline.yaml", []byte(refined))
	if err != nil || len(notices) > 0 {
		t.Fatal(notices, err)
	}
	want := &Towline{File: "towline.yaml", Refine: []Refinement{
		{Namespaces: []string{"app", "review-{environment_slug}"}, File: "towline.yaml", Line: 2, Column: 5, Key: "refine[0]"},
		{
			For: Scope{
				Projects: []string{"group/app"}, Groups: []string{"group/sub"}, Environments: []string{"production", "prod/*"},
				Refs: []string{"main"}, Tags: []string{"v*"},
			},
			Except:       Scope{Environments: []string{"production/test"}},
			Environments: []string{"*"}, Refs: []string{"main", "release/*"}, Tags: []string{"v*"},
			Roles: []string{"maintainer", "owner"}, Users: []string{"alice"}, Namespaces: []string{"app"},
			File: "towline.yaml", Line: 3, Column: 5, Key: "refine[1]",
		},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("towline.yaml (-want +got):\n%s", diff)
	}
	if got := want.Refine[1].String(); got != "towline.yaml:3: refine[1]" {
		t.Error(got)
	}
}

// Every key of the schema is in the example above: a new key needs a place there.
func TestEveryKeyIsReadBack(t *testing.T) {
	for name := range narrowing {
		if !strings.Contains(refined, "    "+name+": ") {
			t.Errorf("%s is not in the example", name)
		}
	}
	for name := range scope.Keys {
		if !strings.Contains(refined, "      "+name+": ") {
			t.Errorf("for.%s is not in the example", name)
		}
	}
}

func TestParseTowlineEmptyFiles(t *testing.T) {
	for _, in := range []string{"", "# only a comment\n", "null", "{}", "refine: []"} {
		got, notices, err := ParseTowline("f", []byte(in))
		if err != nil || len(notices) > 0 || len(got.Refine) > 0 {
			t.Errorf("%q: %+v, %v, %v", in, got, notices, err)
		}
	}
}

func TestParseTowlineFaults(t *testing.T) {
	for name, tt := range map[string]struct{ in, want string }{
		"unknown section":     {"refin: []", `f:1:1: refin: unknown key; did you mean "refine"?`},
		"config.yaml's":       {"ci_access: {}", `f:1:1: ci_access: unknown key; it belongs into config.yaml, beside this file`},
		"no list":             {"refine: {namespaces: [a]}", `f:1:9: refine: want a list, got keys with values; write each item on its own line, starting with a dash`},
		"nothing":             {"refine:\n", `f:1:1: refine: has no value; give it a value or remove the key`},
		"null narrows not":    {"refine: [{refs: , namespaces: [a]}]", `f:1:11: refine[0].refs: has no value; give it a value or remove the key`},
		"empty list":          {"refine: [{users: []}]", `f:1:18: refine[0].users: is an empty list; name at least one item`},
		"narrows nothing":     {"refine: [{for: {projects: [a/b]}}]", `f:1:10: refine[0]: narrows nothing; add at least one of environments, refs, tags, roles, users, namespaces`},
		"except all":          {"refine: [{users: [a], except: {}}]", `f:1:31: refine[0].except: has no keys; give it at least one or remove it`},
		"for nobody":          {"refine: [{users: [a], for: {groups: []}}]", `f:1:37: refine[0].for.groups: is an empty list; name at least one item`},
		"projects outside":    {"refine: [{users: [a], projects: [a/b]}]", `f:1:23: refine[0].projects: unknown key; it stands below "for" or "except"`},
		"role":                {"refine: [{roles: [admin]}]", `f:1:19: refine[0].roles[0]: unknown value "admin"; use one of "guest", "planner", "reporter", "developer", "maintainer", "owner"`},
		"user with at":        {`refine: [{users: ["@alice"]}]`, `f:1:19: refine[0].users[0]: not a user name; write the name as in GitLab's profile page, without @`},
		"namespace pattern":   {`refine: [{namespaces: ["app-*"]}]`, `f:1:24: refine[0].namespaces[0]: not a namespace name; list the names, or use a placeholder: {environment_slug}, {project_id} or {ref_slug}`},
		"unknown placeholder": {`refine: [{namespaces: ["app-{branch}"]}]`, `f:1:24: refine[0].namespaces[0]: unknown placeholder {branch}; the placeholders are {environment_slug}, {project_id} and {ref_slug}`},
		"namespace variable":  {`refine: [{namespaces: ["$NS"]}]`, `f:1:24: refine[0].namespaces[0]: not a namespace name; use lower-case letters, digits and dashes, at most 63`},
		"full ref":            {"refine: [{refs: [refs/heads/main]}]", `f:1:18: refine[0].refs[0]: is a full reference; write the name only, for example "main"`},
		"regular expression":  {"refine: [{tags: [/^v.+/]}]", `f:1:18: refine[0].tags[0]: looks like a regular expression; in a pattern only * is special; it stands for any text`},
		"variable":            {"refine: [{refs: [$CI_DEFAULT_BRANCH]}]", `f:1:18: refine[0].refs[0]: holds a variable; no variables are expanded in this file`},
		"path pattern":        {`refine: [{users: [a], for: {groups: ["group/*"]}}]`, `f:1:38: refine[0].for.groups[0]: not a full path; write the full path only, without host, slashes at the ends or patterns`},
		"twice":               {"refine: [{users: [alice, Alice]}]", `f:1:26: refine[0].users[1]: "Alice" is listed twice; the first one is in line 1`},
		"number":              {"refine: [{refs: [1]}]", `f:1:18: refine[0].refs[0]: want a text, got a number; put it in quotes`},
		"identity":            {"refine: [{users: [a], access_as: {agent: {}}}]", `f:1:23: refine[0].access_as: unknown key; it belongs to the entry of config.yaml`},
	} {
		t.Run(name, func(t *testing.T) {
			got, _, err := ParseTowline("f", []byte(tt.in))
			if got != nil || err == nil {
				t.Fatalf("accepted: %+v", got)
			}
			if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFilesReportBothAtOnce(t *testing.T) {
	f := Files{Name: "g/a@1234:.gitlab/agents/x/config.yaml", Content: []byte("bogus: 1\n"), Towline: []byte("bogus: 2\n")}
	cfg, _, err := f.Parse(Options{})
	var faults strictyaml.Faults
	if cfg != nil || !errors.As(err, &faults) || len(faults) != 2 ||
		faults[0].File != "g/a@1234:.gitlab/agents/x/config.yaml" || faults[1].File != "g/a@1234:.gitlab/agents/x/towline.yaml" {
		t.Errorf("%+v, %v", cfg, err)
	}
	f.Content = nil
	if cfg, _, err := f.Parse(Options{}); cfg != nil || !errors.As(err, &faults) || len(faults) != 1 {
		t.Errorf("one good file: %+v, %v", cfg, err)
	}
}

func TestFilesAreOneRevision(t *testing.T) {
	seen := map[string]Files{}
	for _, f := range []Files{
		{},
		{Content: []byte("a")},
		{Content: []byte("a"), Towline: []byte("b")},
		{Content: []byte("ab")},
		{Towline: []byte("ab")},
		{Content: []byte("b"), Towline: []byte("a")},
	} {
		if other, ok := seen[f.Revision()]; ok {
			t.Errorf("%q and %q have the same revision", f, other)
		}
		seen[f.Revision()] = f
	}
	if (Files{Content: []byte("a"), Towline: []byte{}}).Revision() != Revision([]byte("a")) {
		t.Error("an empty towline.yaml is as none")
	}
}

func TestRefinementsOfStrangersAreNoticed(t *testing.T) {
	f := Files{Name: "config.yaml", Content: []byte("ci_access: {projects: [{id: g/app}], groups: [{id: team}]}")}
	f.Towline = []byte("refine: [{for: {projects: [G/App, team/x, g/ap]}, users: [a]}]")
	_, notices, err := f.Parse(Options{})
	if err != nil || len(notices) != 1 || !strings.Contains(notices[0].Text, "lets g/ap in") {
		t.Errorf("%v, %v", notices, err)
	}
}

func TestScopeCoversProjects(t *testing.T) {
	s := Scope{Projects: []string{"Group/App"}, Groups: []string{"team/Sub"}}
	for path, want := range map[string]bool{
		"group/app": true, "group/app2": false, "group": false, "team/sub/x": true, "team/sub/y/z": true, "team/sub": false, "team/subway/x": false, "": false,
	} {
		if got := s.CoversProject(path); got != want {
			t.Errorf("%s: %v", path, got)
		}
	}
	if !(Scope{}).CoversProject("any/thing") {
		t.Error("no key covers all")
	}
}

func TestRefSlug(t *testing.T) {
	for ref, want := range map[string]string{
		"main": "main", "Feature/ABC_1": "feature-abc-1", "--x--": "x", "ä": "", "aäb": "a-b", "": "", "ümläut": "ml-ut",
		strings.Repeat("a", 62) + "/b": strings.Repeat("a", 62),
	} {
		if got := RefSlug(ref); got != want {
			t.Errorf("%s: %q, want %q", ref, got, want)
		}
	}
}

func TestLoadReadsBothFiles(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, FileName), "ci_access: {projects: [{id: g/app}]}")
	write(t, filepath.Join(dir, TowlineFileName), "refine: [{users: [a]}]")
	for _, path := range []string{dir, filepath.Join(dir, FileName)} {
		got, err := Load(path, Options{})
		if err != nil || len(got.Config.Towline.Refine) != 1 || got.Config.Towline.File != filepath.Join(dir, TowlineFileName) {
			t.Errorf("%s: %+v, %v", path, got, err)
		}
	}
	if err := os.Remove(filepath.Join(dir, TowlineFileName)); err != nil {
		t.Fatal(err)
	}
	if got, err := Load(dir, Options{}); err != nil || len(got.Config.Towline.Refine) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

func FuzzParseTowline(f *testing.F) {
	const charts = `gitops: {charts: [{release_name: a, source: {repository: {url: "oci://h/c", chart: b, version: "~1"}}, timeout: 1s, patches: [{patch: "[{op: x}]", target: {kind: A}}],
  values: [{url: {url: "https://h", poll_period: 1s}}, {secret: {name: s, target: a.b}}, {file: {file: a, project_id: b}}], drift: report, ignore: [{paths: [/a]}], depends_on: [default/a]}]}`
	for _, s := range []string{refined, charts, "", "null", "refine: &r [{users: [a], for: *r}]", "refine: [{namespaces: ['{{']}]", "refine: [{<<: {users: [a]}}]", "\xff"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		got, notices, err := ParseTowline("f", in)
		if (got == nil) == (err == nil) || len(notices) > strictyaml.MaxNotices {
			t.Fatalf("%v with error %v", got, err)
		}
		if err != nil {
			var faults strictyaml.Faults
			if !errors.As(err, &faults) || len(faults) == 0 || len(faults) > strictyaml.MaxFaults {
				t.Fatalf("error is %T: %v", err, err)
			}
			return
		}
		for _, r := range got.Refine {
			if r.Line < 1 || len(r.Environments)+len(r.Refs)+len(r.Tags)+len(r.Roles)+len(r.Users)+len(r.Namespaces) == 0 {
				t.Fatalf("an entry that narrows nothing: %+v", r)
			}
		}
	})
}
