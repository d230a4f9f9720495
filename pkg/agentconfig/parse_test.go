package agentconfig

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/towline/towline/pkg/strictyaml"
)

const complete = `# every section GitLab knows
ci_access:
  projects:
    - id: group/app
      default_namespace: app
      environments: [production, "review/*"]
      protected_branches_only: yes
      resource_management: {enabled: true}
      access_as:
        ci_job: {}
    - id: group/static
      access_as:
        impersonate:
          username: deployer
          uid: "06f6ce97"
          groups: [deployers, group2]
          extra:
            - key: reason
              val: ["a", "b"]
  groups:
    - id: group
      access_as: {agent: {}}
  instance: {}
user_access:
  access_as: {user: {}}
  projects: [{id: group/app}]
  groups: [{id: group}]
gitops:
  manifest_projects:
    - id: group/manifests
      ref: {branch: main}
      default_namespace: x
      paths: [{glob: "/**/*.yaml"}]
      reconcile_timeout: 3600s
      dry_run_strategy: none
      prune: true
      prune_timeout: 3600.5s
      prune_propagation_policy: foreground
      inventory_policy: must_match
  charts:
    - release_name: app
      source: {project: {id: group/charts, path: app, ref: {tag: v1}}}
      namespace: app
      max_history: 3
      values:
        - inline: {a: {b: [1, 2]}}
        - file: {project_id: group/v, ref: {commit: abc}, file: values.yaml}
        - url: {url: "https://x/y", poll_period: 60s, max_file_size: 1000}
flux:
  webhook_receiver_url: http://webhook-receiver.flux-system.svc.cluster.local
observability:
  logging: {level: debug, grpc_level: warn}
  google_profiler: {enabled: false, project_id: p, credentials_file: /f, debug_logging: true}
container_scanning:
  cadence: "0 0 * * *"
  vulnerability_report:
    namespaces: [default]
    resource_types: [Deployment]
    filters: [{namespaces: [a], resources: [b], containers: [c], kinds: [d]}]
  resource_requirements:
    requests: {cpu: 100m, memory: 100Mi, ephemeral_storage: 1Gi}
    limits: {cpu: 1, memory: 500Mi}
  trivy_k8s_wrapper_image: {repository: r}
  scanner_timeout: 300s
  report_max_size: 300000000
  delete_report_artifact: true
  severity_threshold: HIGH
remote_development:
  enabled: true
  dns_zone: d
  gitlab_workspaces_proxy: {namespace: gitlab-workspaces}
  network_policy: {enabled: true, egress: [{allow: 0.0.0.0/0, except: [10.0.0.0/8]}]}
  workspaces_quota: -1
  use_kubernetes_user_namespaces: false
  labels: {a: b}
  full_sync_interval: 3600s
  new_in_20: {x: [y]}
`

func TestParseReadsTheWholeSchema(t *testing.T) {
	got, notices, err := Parse("config.yaml", []byte(complete), Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		File: "config.yaml",
		CIAccess: CIAccess{
			Projects: []Entry{
				{
					Kind: ProjectEntry, ID: "group/app", DefaultNamespace: "app", Environments: []string{"production", "review/*"},
					ProtectedBranchesOnly: true, ResourceManagement: true, AccessAs: AccessAs{Mode: AsCIJob},
					File: "config.yaml", Line: 4, Column: 7, Key: "ci_access.projects[0]",
				},
				{
					Kind: ProjectEntry, ID: "group/static",
					AccessAs: AccessAs{Mode: AsImpersonate, Impersonate: &Impersonate{
						Username: "deployer", UID: "06f6ce97", Groups: []string{"deployers", "group2"},
						Extra: []Extra{{Key: "reason", Val: []string{"a", "b"}}},
					}},
					File: "config.yaml", Line: 11, Column: 7, Key: "ci_access.projects[1]",
				},
			},
			Groups: []Entry{{
				Kind: GroupEntry, ID: "group", AccessAs: AccessAs{Mode: AsAgent},
				File: "config.yaml", Line: 21, Column: 7, Key: "ci_access.groups[0]",
			}},
			Instance: &Entry{
				Kind: InstanceEntry, AccessAs: AccessAs{Mode: AsAgent},
				File: "config.yaml", Line: 23, Column: 3, Key: "ci_access.instance",
			},
		},
		UserAccess: &UserAccess{Projects: []string{"group/app"}, Groups: []string{"group"}, AsUser: true},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Config{}, "GitOps")); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
	var keys []string
	for _, n := range notices {
		keys = append(keys, n.Key)
	}
	wantKeys := []string{
		"ci_access.projects[0].resource_management", "user_access", "gitops", "gitops.charts", "flux",
		"observability", "container_scanning", "remote_development", "remote_development.full_sync_interval", "remote_development.new_in_20",
		"ci_access.projects[0].environments",
	}
	if diff := cmp.Diff(wantKeys, keys); diff != "" {
		t.Errorf("notices (-want +got):\n%s", diff)
	}
}

func TestCIUserIsOursAlone(t *testing.T) {
	cfg, notices, err := Parse("f", []byte(p("access_as: {ci_user: {}}")), Options{})
	if err != nil || cfg.CIAccess.Projects[0].AccessAs.Mode != AsCIUser {
		t.Fatalf("%+v, %v", cfg, err)
	}
	if len(notices) != 1 || !strings.Contains(notices[0].String(), "f:4:19: ci_access.projects[0].access_as.ci_user: only Towline knows ci_user; GitLab's own agent server refuses") {
		t.Errorf("notices %v", notices)
	}
}

func TestParseEmptyFiles(t *testing.T) {
	for _, in := range []string{"", "\n", "# only a comment\n", "null", "---\n", "~", "{}", "ci_access:\n", "ci_access: {projects: }"} {
		got, notices, err := Parse("f", []byte(in), Options{})
		if err != nil || len(notices) > 0 {
			t.Errorf("%q: %v, %v", in, notices, err)
			continue
		}
		if diff := cmp.Diff(&Config{File: "f"}, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", in, diff)
		}
	}
}

// The verdicts of GitLab's own parser (agent-config sheet, section 1.1) and
// what people get wrong, each with place and remedy.
func TestParseFaults(t *testing.T) {
	for name, tt := range map[string]struct{ in, want string }{
		"agent section":   {"agent: {token: glagent-secret}", `f:1:1: agent: unknown key; GitLab's server refuses it; keep the agent's token in a Secret`},
		"singular":        {"ci_access:\n  project:\n    - id: a/b\n", `f:2:3: ci_access.project: unknown key; did you mean "projects"?`},
		"no access_as":    {p("access_as: {}"), `f:4:18: ci_access.projects[0].access_as: has 0 keys, want exactly one; choose one of "agent", "ci_job", "ci_user", "impersonate"`},
		"two access_as":   {p("access_as: {agent: {}, ci_job: {}}"), `f:4:18: ci_access.projects[0].access_as: has 2 keys, want exactly one; choose one of "agent", "ci_job", "ci_user", "impersonate"`},
		"no cadence":      {"container_scanning: {}", `f:1:21: container_scanning.cadence: is missing; every entry here needs it`},
		"no history":      {"gitops: {charts: [{release_name: a, source: {project: {id: a}}, max_history: 0}]}", `f:1:78: gitops.charts[0].max_history: want a number above 0; leave it out for GitLab's default, 1`},
		"null ci_job":     {p("access_as: {ci_job: }"), `f:4:19: ci_access.projects[0].access_as.ci_job: has no value; write ci_job: {}`},
		"word access_as":  {p("access_as: ci_job"), `f:4:18: ci_access.projects[0].access_as: want keys with values, got a text; write one of "agent", "ci_job", "ci_user", "impersonate" as a key below it`},
		"extra as map":    {p("access_as: {impersonate: {username: u, extra: {a: b}}}"), `f:4:53: ci_access.projects[0].access_as.impersonate.extra: want a list, got keys with values; write each item on its own line, starting with a dash`},
		"no username":     {p("access_as: {impersonate: {uid: u}}"), `f:4:32: ci_access.projects[0].access_as.impersonate.username: is missing; every entry here needs it`},
		"empty val":       {p("access_as: {impersonate: {username: u, extra: [{key: k, val: []}]}}"), `f:4:68: ci_access.projects[0].access_as.impersonate.extra[0].val: is an empty list; name at least one item`},
		"number id":       {"ci_access: {projects: [{id: 42}]}", `f:1:29: ci_access.projects[0].id: want a full path, got a number; ids are full paths in quotes, for example "group/project"`},
		"empty id":        {`ci_access: {groups: [{id: ""}]}`, `f:1:27: ci_access.groups[0].id: is empty; give it a value or remove the key`},
		"no id":           {`ci_access: {groups: [{}]}`, `f:1:22: ci_access.groups[0].id: is missing; every entry here needs it`},
		"id on instance":  {`ci_access: {instance: {id: a}}`, `f:1:24: ci_access.instance.id: unknown key; the keys here are "access_as", "default_namespace", "environments", "protected_branches_only", "resource_management"`},
		"hours":           {"gitops: {manifest_projects: [{reconcile_timeout: 1h}]}", `f:1:50: gitops.manifest_projects[0].reconcile_timeout: not a duration GitLab reads; write whole seconds, for example "3600s"`},
		"enum":            {"observability: {logging: {level: trace}}", `f:1:34: observability.logging.level: unknown value "trace"; use one of "info", "debug", "warn", "error"`},
		"string bool":     {p(`protected_branches_only: "true"`), `f:4:32: ci_access.projects[0].protected_branches_only: want true or false, got a text; write true or false without quotes`},
		"one environment": {p("environment: production"), `f:4:7: ci_access.projects[0].environment: unknown key; did you mean "environments", a list?`},
		"scalar list":     {p("environments: production"), `f:4:21: ci_access.projects[0].environments: want a list, got a text; write each item on its own line, starting with a dash`},
		"boolean text":    {p("environments: [on]"), `f:4:22: ci_access.projects[0].environments[0]: want a text, got a boolean; put it in quotes`},
		"empty item":      {p("environments: [a, ]\n      default_namespace: $NS"), `f:5:26: ci_access.projects[0].default_namespace: not a namespace name; GitLab expands no variables in this file`},
		"null item":       {"ci_access:\n  projects:\n    -\n", `f:3:6: ci_access.projects[0]: is empty; remove the dash or give the item a value`},
		"twice a key":     {"ci_access: {}\nci_access: {}\n", `f:2:1: ci_access: given twice; the first one is in line 1; keep one; GitLab would silently use the last one`},
		"twice an id":     {"ci_access: {projects: [{id: a/b}, {id: A/B}]}", `f:1:40: ci_access.projects[1].id: "A/B" is listed twice; the first one is in line 1; GitLab would silently use only one of them`},
		"list as root":    {"- a\n", `f:1:1: want keys with values, got a list; the keys here are "ci_access", "container_scanning", "flux", "gitops", "observability", "remote_development", "user_access"`},
		"odd key":         {"ci_access: {[a]: b}", `f:1:13: ci_access: a key that is not a word; write a plain word in front of the colon`},
		"two documents":   {"ci_access: {}\n---\nuser_access: {}\n", `f:2:1: a second YAML document; keep one document; GitLab reads the first only`},
		"syntax":          {"ci_access:\n  projects:\n   - id: a\n  - b\n", `f:4:3: not valid YAML: did not find expected key`},
		"tab":             {"ci_access:\n\tprojects: []\n", `f:2:2: not valid YAML: found character that cannot start any token`},
		"not text":        {"ci_access: {}\n\xff\xfe", `f:2:1: not UTF-8 text; save the file as UTF-8`},
		"removed section": {"starboard: {}", `f:1:1: starboard: unknown key; the section was replaced by "container_scanning" in GitLab 16.0`},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, _, err := Parse("f", []byte(tt.in), Options{})
			if cfg != nil || err == nil {
				t.Fatalf("accepted: %+v", cfg)
			}
			var faults strictyaml.Faults
			if !errors.As(err, &faults) {
				t.Fatalf("error is %T", err)
			}
			if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}

// p is a file with one project that has the given lines.
func p(lines string) string { return "ci_access:\n  projects:\n    - id: a/b\n      " + lines + "\n" }

func TestParseReportsAllFaultsInOrder(t *testing.T) {
	in := `ci_access:
  projects:
    - id: 7
      environments: x
    - acces_as: {ci_job: {}}
observability: {logging: {level: loud}}
bogus: 1
`
	_, _, err := Parse("config.yaml", []byte(in), Options{})
	want := []string{"3:11", "4:21", "5:7", "5:7", "6:34", "7:1"}
	var got []string
	for line := range strings.SplitSeq(err.Error(), "\n") {
		got = append(got, strings.Join(strings.Split(line, ":")[1:3], ":"))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("places (-want +got):\n%s\n%v", diff, err)
	}
	if !strings.Contains(err.Error(), `unknown key; did you mean "access_as"?`) {
		t.Error(err)
	}
}

func TestParseBoundsTheFaults(t *testing.T) {
	var b strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&b, "zzzzzzzzzz%d: 1\n", i)
	}
	_, _, err := Parse("f", []byte(b.String()), Options{})
	var faults strictyaml.Faults
	if !errors.As(err, &faults) || len(faults) != strictyaml.MaxFaults {
		t.Fatalf("%d faults, want %d", len(faults), strictyaml.MaxFaults)
	}
	if got := faults[strictyaml.MaxFaults-1].Error(); !strings.Contains(got, "901 more faults") {
		t.Error(got)
	}
}

func TestParseUsesTheFirstEntriesOnly(t *testing.T) {
	var b strings.Builder
	b.WriteString("ci_access:\n  projects:\n")
	for i := range MaxEntries + 2 {
		fmt.Fprintf(&b, "  - id: g/p%d\n", i)
	}
	cfg, notices, err := Parse("f", []byte(b.String()), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.CIAccess.Projects) != MaxEntries {
		t.Errorf("%d projects", len(cfg.CIAccess.Projects))
	}
	if len(notices) != 1 || notices[0].Line != MaxEntries+3 || !strings.Contains(notices[0].Text, "use the first 500") {
		t.Errorf("notices: %v", notices)
	}
}

func TestParseRefusesBombs(t *testing.T) {
	var bomb strings.Builder
	bomb.WriteString("x: &a0 {k: v}\n")
	for i := 1; i < 40; i++ {
		fmt.Fprintf(&bomb, "x%d: &a%d [*a%d, *a%d, *a%d, *a%d]\n", i, i, i-1, i-1, i-1, i-1)
	}
	inline := func(v string) string {
		return "gitops: {charts: [{release_name: a, source: {project: {id: a}}, values: [{inline: " + v + "}]}]}"
	}
	lots := "a: &a [" + strings.Repeat("x,", 400) + "]\nb: &b [" + strings.Repeat("*a,", 400) + "]\nc: &c [" + strings.Repeat("*b,", 400) + "]\n"
	for name, in := range map[string]string{
		"aliases":      bomb.String(),
		"free aliases": lots + inline("*c"),
		"cycle":        "gitops: &g {charts: [{release_name: a, source: {project: {id: a}}, values: [{inline: *g}]}]}",
		"merge cycle":  "ci_access: &c\n  <<: [*c, *c, *c]\n",
		"deep":         inline(strings.Repeat("[", 100) + strings.Repeat("]", 100)),
		"very deep":    strings.Repeat("[", 20000),
		"large":        "# " + strings.Repeat("x", MaxFile),
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := Parse("f", []byte(in), Options{}); err == nil {
				t.Error("accepted")
			}
		})
	}
}

func TestParseResolvesAliasesAndMergeKeys(t *testing.T) {
	in := `ci_access:
  projects:
    - &base
      id: a/b
      default_namespace: one
      access_as: &as {ci_job: {}}
    - <<: *base
      id: a/c
    - id: a/d
      access_as: *as
`
	cfg, _, err := Parse("f", []byte(in), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range cfg.CIAccess.Projects {
		if e.AccessAs.Mode != AsCIJob {
			t.Errorf("%s: mode %s", e, e.AccessAs.Mode)
		}
	}
	if got := cfg.CIAccess.Projects[1]; got.ID != "a/c" || got.DefaultNamespace != "one" {
		t.Errorf("merged entry: %+v", got)
	}
}

func TestTokenOnlyInLocalFilesAndNeverPrinted(t *testing.T) {
	in := []byte("agent:\n  token: glagent-hush\n")
	cfg, notices, err := Parse("f", in, Options{AllowToken: true})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.AgentToken.Reveal() != "glagent-hush" {
		t.Error("token lost")
	}
	if len(notices) != 1 || !strings.Contains(notices[0].Text, "Secret is the place") {
		t.Errorf("notices: %v", notices)
	}
	var b strings.Builder
	slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "cfg", cfg, "token", cfg.AgentToken)
	fmt.Fprintf(&b, "%v %+v %#v %s %q", cfg, *cfg, cfg, cfg.AgentToken, cfg.AgentToken)
	if strings.Contains(b.String(), "hush") {
		t.Errorf("token printed: %s", b.String())
	}
	_, _, err = Parse("f", []byte("agent: {token: [glagent-hush]}"), Options{AllowToken: true})
	if err == nil || strings.Contains(err.Error(), "hush") {
		t.Errorf("fault quotes the token: %v", err)
	}
}

func TestHopelessIDsAreNoticed(t *testing.T) {
	for _, id := range []string{"/group/app", "group/app/", "https://gitlab.example.com/group/app", "group/*"} {
		_, notices, err := Parse("f", fmt.Appendf(nil, "ci_access: {projects: [{id: %q}]}", id), Options{})
		if err != nil || len(notices) != 1 || notices[0].Key != "ci_access.projects[0].id" {
			t.Errorf("%s: %v, %v", id, notices, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{complete, "", "null", "- a", "ci_access: &c\n  <<: [*c]\n", "a: &a [*a]\n", "? [x]\n: y\n", "ci_access: {projects: [{id: 1e3}]}", "\xff"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		cfg, notices, err := Parse("f", in, Options{AllowToken: true})
		if (cfg == nil) == (err == nil) {
			t.Fatalf("config %v with error %v", cfg, err)
		}
		if len(notices) > strictyaml.MaxNotices*2 {
			t.Fatalf("%d notices", len(notices))
		}
		if err != nil {
			var faults strictyaml.Faults
			if !errors.As(err, &faults) || len(faults) == 0 || len(faults) > strictyaml.MaxFaults {
				t.Fatalf("error is %T: %v", err, err)
			}
			for _, x := range faults {
				if x.Line < 1 || x.Column < 1 || x.Problem == "" {
					t.Fatalf("fault without a place: %+v", x)
				}
			}
			return
		}
		e, ok := cfg.Match(Subject{Project: "a/b/c", ConfigProject: "a/agents"})
		if ok {
			e.MatchEnvironment("production")
		}
		cfg.Nearest(Subject{Project: "a/b/c"})
	})
}
