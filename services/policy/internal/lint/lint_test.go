package lint

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/service"
)

// tree writes files below the working directory of the test.
func tree(t *testing.T, files map[string]string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, content := range files {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// lint returns what was printed, the exit status and the error that is printed.
func lint(t *testing.T, args ...string) (out string, status int, message string) {
	t.Helper()
	var b strings.Builder
	err := Run(t.Context(), args, os.Getenv, &b)
	if err == nil {
		return b.String(), 0, ""
	}
	var s service.Status
	if !errors.As(err, &s) {
		t.Fatalf("error is %T: %v", err, err)
	}
	if s.Err != nil {
		message = s.Err.Error()
	}
	return b.String(), s.Code, message
}

const (
	good       = "ci_access: {projects: [{id: g/app}]}\n"
	faulty     = "ci_access:\n  project: []\nflux: {}\n"
	refined    = "refine: [{users: [alice]}]\n"
	refineless = "refine:\n  - {}\n"
	ruled      = "rules:\n  - name: not-x\n    deny: project.path == 'x'\n    message: not x\n"
	unruled    = "rules:\n  - name: not-x\n    deny: projekt.path == 'x'\n    message: not x\n"
)

func TestStatusAndText(t *testing.T) {
	files := map[string]string{
		".gitlab/agents/prod/config.yaml": faulty, ".gitlab/agents/prod/towline.yaml": refineless,
		".gitlab/agents/test/config.yaml": good, ".gitlab/agents/test/towline.yaml": refined, ".gitlab/agents/README.md": "",
		"one/config.yaml": good + "agent: {token: x}\n", "token/.gitlab/agents/x/config.yaml": "agent: {token: x}\n",
		"beside/towline.yaml": refined, "rules/a.yaml": ruled, "rules/b.yml": ruled, "broken/r.yaml": unruled, "nothing/README.md": "",
	}
	for name, tt := range map[string]struct {
		args    []string
		status  int
		out     string
		message string
	}{
		"a whole project": {[]string{"."}, 1, `.gitlab/agents/prod/config.yaml:2:3: fault: ci_access.project: unknown key; did you mean "projects"?
.gitlab/agents/prod/config.yaml:3:1: notice: flux: accepted and not acted on: Flux reads its own sources
.gitlab/agents/prod/towline.yaml:2:5: fault: refine[0]: narrows nothing; add at least one of environments, refs, tags, roles, users, namespaces

2 faults in 4 files; Towline would keep the last good version in force, 1 notice
`, ""},
		"one agent":       {[]string{".gitlab/agents/test"}, 0, "2 files in order\n", ""},
		"one file":        {[]string{".gitlab/agents/test/config.yaml"}, 0, "1 file in order\n", ""},
		"a local token":   {[]string{"one"}, 0, "one/config.yaml:2:1: notice: agent: a token in a configuration file is readable by whoever reads the file; a Secret is the place for it, and GitLab's server refuses the section\n\n1 file in order, 1 notice\n", ""},
		"GitLab's token":  {[]string{"token"}, 1, "token/.gitlab/agents/x/config.yaml:1:1: fault: agent: unknown key; GitLab's server refuses it; keep the agent's token in a Secret\n\n1 fault in 1 file; Towline would keep the last good version in force\n", ""},
		"towline.yaml":    {[]string{"beside/towline.yaml", ".gitlab/agents/test/towline.yaml"}, 0, "2 files in order\n", ""},
		"rules":           {[]string{"rules"}, 1, "rules/b.yml:2:11: fault: rules[0].name: \"not-x\" is the name of another rule; that one is in rules/a.yaml:2\n\n1 fault in 2 files; Towline would keep the last good version in force\n", ""},
		"one rules file":  {[]string{"rules/a.yaml"}, 0, "1 file in order\n", ""},
		"faulty rules":    {[]string{"broken"}, 1, "", ""},
		"not there":       {[]string{"nowhere"}, 2, "", "nowhere: no such file or directory"},
		"nothing in it":   {[]string{"nothing"}, 2, "", "nothing: nothing to check; it has no .gitlab/agents/<name>, no config.yaml, no towline.yaml and no rules in files that end in .yaml"},
		"no argument":     {nil, 2, "", "name a file or directory; lint --help says more"},
		"unknown format":  {[]string{"one", "--format=xml"}, 2, "", "--format=xml: use code-quality, json, text"},
		"unknown option":  {[]string{"one", "--fix"}, 2, "", "flag provided but not defined: -fix"},
		"help":            {[]string{"--help"}, 0, usage, ""},
		"option in front": {[]string{"--format", "text", "beside"}, 0, "1 file in order\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			tree(t, files)
			out, status, message := lint(t, tt.args...)
			if status != tt.status || message != tt.message {
				t.Errorf("status %d, message %q\n%s", status, message, out)
			}
			if name == "faulty rules" {
				if !strings.HasPrefix(out, "broken/r.yaml:3:") || !strings.Contains(out, "projekt") {
					t.Error(out)
				}
				return
			}
			if diff := cmp.Diff(tt.out, out); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestJSON(t *testing.T) {
	tree(t, map[string]string{"config.yaml": faulty})
	out, status, _ := lint(t, "--format=json", ".")
	var got report
	if err := json.Unmarshal([]byte(out), &got); err != nil || status != 1 {
		t.Fatalf("%v, status %d in %s", err, status, out)
	}
	want := report{Faults: 1, Notices: 1, Files: []string{"config.yaml"}, Findings: []Finding{
		{"config.yaml", 2, 3, "ci_access.project", "fault", `unknown key; did you mean "projects"?`},
		{"config.yaml", 3, 1, "flux", "notice", "accepted and not acted on: Flux reads its own sources"},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	tree(t, map[string]string{"config.yaml": good})
	if out, _, _ := lint(t, "--format=json", "config.yaml"); !strings.Contains(out, `"findings": []`) {
		t.Error(out)
	}
}

// The fields are those that GitLab requires of a code quality report.
func TestCodeQuality(t *testing.T) {
	type entry struct {
		Description string `json:"description"`
		CheckName   string `json:"check_name"`
		Fingerprint string `json:"fingerprint"`
		Severity    string `json:"severity"`
		Location    struct {
			Path  string `json:"path"`
			Lines struct {
				Begin int `json:"begin"`
			} `json:"lines"`
		} `json:"location"`
	}
	read := func(content string) []entry {
		t.Helper()
		tree(t, map[string]string{".gitlab/agents/a/config.yaml": content})
		out, _, _ := lint(t, "--format=code-quality", ".")
		var got []entry
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			t.Fatalf("%v in %s", err, out)
		}
		return got
	}
	got, moved := read(faulty+"x: 1\n"), read("# moved\n"+faulty+"x: 1\n")
	if len(got) != 3 || got[0].Severity != "blocker" || got[0].CheckName != "towline-fault" || got[1].Severity != "info" ||
		got[0].Location.Path != ".gitlab/agents/a/config.yaml" || got[0].Location.Lines.Begin != 2 || !strings.HasPrefix(got[0].Description, "ci_access.project: unknown key") {
		t.Errorf("%+v", got)
	}
	seen := map[string]bool{}
	for i, e := range got {
		if e.Fingerprint == "" || seen[e.Fingerprint] || e.Fingerprint != moved[i].Fingerprint || e.Location.Lines.Begin+1 != moved[i].Location.Lines.Begin {
			t.Errorf("%+v, moved %+v", e, moved[i])
		}
		seen[e.Fingerprint] = true
	}
	if got := read(good); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}
