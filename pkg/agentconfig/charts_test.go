package agentconfig

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestOldChartsHaveTheOldDefaults(t *testing.T) {
	const old = `
gitops:
  charts:
    - release_name: shop
      source: {project: {id: acme/charts, path: /charts/shop/, ref: {branch: stable}}}
      namespace: web
      values:
        - inline: {replicas: 2, hosts: [a, b]}
        - file: {file: /values/prod.yaml, project_id: acme/charts}
        - url: {url: "https://example.com/v.yaml"}
    - release_name: other
      source: {project: {id: acme/charts}}
      values: [{url: {url: "http://example.com/v.json", poll_period: 90s, max_file_size: 100}}]
    - release_name: third
      source: {project: {id: acme/charts}}
      values: [{file: {file: a.yaml, project_id: acme/values}}, {file: {file: b.yaml, ref: {tag: v1}}}, {file: {file: /c.yaml, project_id: /acme/values/, ref: {branch: x}}}]
`
	cfg, _, err := Parse("f", []byte(old), Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := Manifests{
		Name: "web/shop", Project: "acme/charts", Ref: GitRef{Branch: "stable"}, DefaultNamespace: "web",
		ReconcileTimeout: time.Hour, PruneTimeout: time.Hour, Interval: time.Minute, AccessAs: AccessAs{Mode: AsGitOps},
		Chart: &Chart{
			Release: "shop", Path: "charts/shop", MaxHistory: 1, Timeout: 5 * time.Minute, CRDs: "create",
			Install: ChartRemedy{OnFailure: "none"}, Upgrade: ChartRemedy{OnFailure: "none"}, Tests: "skip", Drift: "off", OnRemoval: "keep",
			Values: []ChartValues{
				{Inline: "hosts:\n    - a\n    - b\nreplicas: 2\n"}, {File: "values/prod.yaml"}, {URL: &ValuesURL{URL: "https://example.com/v.yaml", MaxSize: 1 << 20}},
			},
		},
		File: "f", Line: 4, Column: 7, Key: "gitops.charts[0]",
	}
	if diff := cmp.Diff(want, cfg.GitOps.Manifests[0]); diff != "" {
		t.Error(diff)
	}
	if other := cfg.GitOps.Manifests[1]; other.Name != "default/other" || other.Interval != 90*time.Second || other.Chart.Values[0].URL.MaxSize != 100 {
		t.Errorf("%+v", other)
	}
	third := []ChartValues{{File: "a.yaml", Project: "acme/values"}, {File: "b.yaml", Ref: GitRef{Tag: "v1"}}, {File: "c.yaml", Project: "acme/values", Ref: GitRef{Branch: "x"}}}
	if diff := cmp.Diff(third, cfg.GitOps.Manifests[2].Chart.Values); diff != "" || !third[0].Elsewhere() || !third[1].Elsewhere() || (ChartValues{File: "a"}).Elsewhere() {
		t.Error(diff)
	}
	if _, _, err := Parse("f", []byte("gitops: {charts: [{release_name: a, source: {project: {id: x/y}}, atomic: true}]}"), Options{}); err == nil {
		t.Error("GitLab's file was given a key of Towline")
	}
}

func TestTowlinesOwnKeysOfCharts(t *testing.T) {
	g, err := readOwn(t, `
gitops:
  charts:
    - release_name: shop
      source: {repository: {url: "oci://registry.example.com/charts", chart: shop, version: "~1.4", secret: registry, plain_http: true}}
      namespace: web
      max_history: 5
      values:
        - config_map: {name: shop-values, key: prod.yaml, optional: true}
        - secret: {name: shop-password, key: password, target: database.password}
      create_namespace: true
      wait: true
      wait_for_jobs: true
      timeout: 600s
      crds: create-replace
      install: {on_failure: uninstall, attempts: 2}
      upgrade: {on_failure: rollback, attempts: 3}
      force: true
      tests: report
      drift: correct
      ignore: [{kind: Deployment, paths: [/spec/replicas]}]
      patches:
        - patch: "[{op: remove, path: /spec/replicas}]"
          target: {group: apps, version: v1, kind: Deployment, name: web, namespace: web, labels: a=b, annotations: c=d}
      on_removal: uninstall
      depends_on: [default/base]
      suspend: true
      windows: [{from: "22:00", to: "04:00"}]
      interval: 60s
      namespaces: [web]
      access_as: {impersonate: {username: deployer}}
    - release_name: base
      source: {repository: {url: "https://charts.example.com/stable/", chart: base}}
      atomic: true
    - release_name: tagged
      source: {project: {id: acme/charts, ref: {semver: "~1.2"}}}
      verify: {signers: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE5x]}
  manifest_projects:
    - {id: acme/shop, depends_on: [web/shop]}
`)
	if err != nil {
		t.Fatal(err)
	}
	want := Manifests{
		Name: "web/shop", DefaultNamespace: "web", ReconcileTimeout: time.Hour, PruneTimeout: time.Hour, Interval: time.Minute,
		Ignore: []Ignore{{Kind: "Deployment", Paths: []string{"/spec/replicas"}}}, DependsOn: []string{"default/base"}, Suspend: true,
		Windows: []Window{{From: "22:00", To: "04:00"}}, Namespaces: []string{"web"},
		AccessAs: AccessAs{Mode: AsImpersonate, Impersonate: &Impersonate{Username: "deployer"}},
		Chart: &Chart{
			Release:    "shop",
			Repository: &ChartRepository{URL: "oci://registry.example.com/charts", Chart: "shop", Version: "~1.4", Secret: "registry", PlainHTTP: true},
			MaxHistory: 5, CreateNamespace: true, Wait: true, WaitForJobs: true, Timeout: 10 * time.Minute, CRDs: "create-replace",
			Install: ChartRemedy{"uninstall", 2}, Upgrade: ChartRemedy{"rollback", 3}, Force: true, Tests: "report", Drift: "correct", OnRemoval: "uninstall",
			Values: []ChartValues{
				{ConfigMap: &ValuesKey{Name: "shop-values", Key: "prod.yaml", Optional: true}},
				{Secret: &ValuesKey{Name: "shop-password", Key: "password", Target: "database.password"}},
			},
			Patches: []ChartPatch{{
				Patch: "[{op: remove, path: /spec/replicas}]", Group: "apps", Version: "v1", Kind: "Deployment", Name: "web", Namespace: "web", Labels: "a=b", Annotations: "c=d",
			}},
		},
		File: "f", Line: 4, Column: 7, Key: "gitops.charts[0]",
	}
	if diff := cmp.Diff(want, g.Manifests[1]); diff != "" {
		t.Error(diff)
	}
	base := g.In("acme/agents").Manifests[2]
	if tagged := g.Manifests[3]; tagged.Ref.Semver != "~1.2" || len(tagged.Signers) != 1 {
		t.Errorf("%+v", tagged)
	}
	if base.Project != "acme/agents" || base.Name != "default/base" || !base.Chart.Atomic || base.Chart.Repository.URL != "https://charts.example.com/stable/" {
		t.Errorf("%+v", base)
	}
}

func TestFaultsOfCharts(t *testing.T) {
	const source = "source: {project: {id: x/y}}"
	for name, tt := range map[string]struct{ in, want string }{
		"twice":             {"{release_name: a, " + source + "}, {release_name: a, " + source + "}", "gitops.charts[1]: a second release default/a; give it another release_name or namespace"},
		"two sources":       {"{release_name: a, source: {project: {id: x/y}, repository: {url: 'https://h', chart: a}}}", "gitops.charts[0].source: "},
		"no chart":          {"{release_name: a, source: {repository: {url: 'https://h'}}}", "gitops.charts[0].source.repository.chart: is missing; "},
		"scheme":            {"{release_name: a, source: {repository: {url: 'ftp://h', chart: a}}}", "gitops.charts[0].source.repository.url: not an address that can be fetched; write https://charts.example.com or oci://registry.example.com/charts"},
		"credential":        {"{release_name: a, source: {repository: {url: 'https://me:pw@h', chart: a}}}", "gitops.charts[0].source.repository.url: holds a credential; keep it in a Secret; this file is readable by many"},
		"query":             {"{release_name: a, source: {repository: {url: 'https://h?a=b', chart: a}}}", "gitops.charts[0].source.repository.url: has a query; write the address of the directory that holds index.yaml"},
		"chart":             {"{release_name: a, source: {repository: {url: 'https://h', chart: a/b}}}", "gitops.charts[0].source.repository.chart: not a name of a chart; write the name alone; the rest of the address belongs into url"},
		"version":           {"{release_name: a, source: {repository: {url: 'https://h', chart: a, version: new}}}", "gitops.charts[0].source.repository.version: neither a version nor a range of versions; " + versionRemedy},
		"number":            {"{release_name: a, source: {repository: {url: 'https://h', chart: a, version: 1.4}}}", "gitops.charts[0].source.repository.version: "},
		"secret":            {"{release_name: a, source: {repository: {url: 'https://h', chart: a, secret: A/b}}}", "gitops.charts[0].source.repository.secret: not a name of an object; use lower-case letters, digits, dots and dashes, at most 253"},
		"plain":             {"{release_name: a, source: {repository: {url: 'https://h', chart: a, plain_http: true}}}", "gitops.charts[0].source.repository.plain_http: is for oci:// addresses; write the scheme into url: https:// or http://"},
		"values address":    {"{release_name: a, " + source + ", values: [{url: {url: shop.yaml}}]}", "gitops.charts[0].values[0].url.url: not an address; write https://values.example.com/shop.yaml"},
		"values size":       {"{release_name: a, " + source + ", values: [{url: {url: 'https://h/v', max_file_size: 0}}]}", "gitops.charts[0].values[0].url.max_file_size: "},
		"poll":              {"{release_name: a, " + source + ", values: [{url: {url: 'https://h/v', poll_period: 0s}}]}", "gitops.charts[0].values[0].url.poll_period: is out of bounds; write 1s to 86400s"},
		"values file":       {"{release_name: a, " + source + ", values: [{file: {file: ../a.yaml}}]}", "gitops.charts[0].values[0].file.file: leads out of the repository; "},
		"target":            {"{release_name: a, " + source + ", values: [{secret: {name: s, target: a..b}}]}", `gitops.charts[0].values[0].secret.target: not the path of a value; write keys with dots between, for example ingress.host; \. is a dot in a key`},
		"nameless":          {"{release_name: a, " + source + ", values: [{config_map: {key: k}}]}", "gitops.charts[0].values[0].config_map.name: is missing; "},
		"two values":        {"{release_name: a, " + source + ", values: [{config_map: {name: k}, inline: {}}]}", "gitops.charts[0].values[0]: "},
		"jobs alone":        {"{release_name: a, " + source + ", wait_for_jobs: true}", "gitops.charts[0].wait_for_jobs: means nothing without wait; add wait: true"},
		"atomic, unwaiting": {"{release_name: a, " + source + ", atomic: true, wait: false}", "gitops.charts[0].wait: contradicts atomic, which waits; remove one of the two"},
		"atomic, remedy":    {"{release_name: a, " + source + ", atomic: true, upgrade: {on_failure: none}}", "gitops.charts[0].upgrade.on_failure: contradicts atomic, which uninstalls a failed installation and rolls a failed upgrade back; remove one of the two"},
		"timeout":           {"{release_name: a, " + source + ", timeout: 90000s}", "gitops.charts[0].timeout: is out of bounds; write 1s to 21600s"},
		"long timeout":      {"{release_name: a, " + source + ", timeout: 30000s}", "gitops.charts[0].timeout: is out of bounds; write 1s to 21600s"},
		"crds":              {"{release_name: a, " + source + ", crds: replace}", "gitops.charts[0].crds: "},
		"install rollback":  {"{release_name: a, " + source + ", install: {on_failure: rollback}}", "gitops.charts[0].install.on_failure: "},
		"attempts":          {"{release_name: a, " + source + ", upgrade: {attempts: 0}}", "gitops.charts[0].upgrade.attempts: "},
		"force":             {"{release_name: a, " + source + ", force: sometimes}", "gitops.charts[0].force: "},
		"create":            {"{release_name: a, " + source + ", create_namespace: 1}", "gitops.charts[0].create_namespace: "},
		"tests":             {"{release_name: a, " + source + ", tests: maybe}", "gitops.charts[0].tests: "},
		"drift":             {"{release_name: a, " + source + ", drift: warn}", "gitops.charts[0].drift: "},
		"ignore alone":      {"{release_name: a, " + source + ", ignore: [{paths: [/spec/replicas]}]}", "gitops.charts[0].ignore: means nothing without drift; add drift: correct or drift: report"},
		"ignore":            {"{release_name: a, " + source + ", drift: report, ignore: [{paths: [replicas]}]}", "gitops.charts[0].ignore[0].paths[0]: not the path of a field; "},
		"patch":             {"{release_name: a, " + source + ", patches: [{patch: 'a: [b'}]}", "gitops.charts[0].patches[0].patch: not YAML; "},
		"patch text":        {"{release_name: a, " + source + ", patches: [{patch: hello}]}", "gitops.charts[0].patches[0].patch: not a patch; "},
		"patch target":      {"{release_name: a, " + source + ", patches: [{patch: '[{op: remove, path: /a}]'}]}", "gitops.charts[0].patches[0].patch: is a list of operations without a target; say with target which objects it is for"},
		"removal":           {"{release_name: a, " + source + ", on_removal: delete}", "gitops.charts[0].on_removal: "},
		"dependency":        {"{release_name: a, " + source + ", depends_on: [b]}", `gitops.charts[0].depends_on: there is no entry with the name "b"; name an entry of manifest_projects, or a release as namespace/release_name`},
		"circle":            {"{release_name: a, " + source + ", depends_on: [default/a]}", "gitops.charts[0].depends_on: entries depend on each other in a circle; remove one of the dependencies"},
		"interval":          {"{release_name: a, " + source + ", interval: 1s}", "gitops.charts[0].interval: is out of bounds; write 10s to 86400s"},
		"verify":            {"{release_name: a, source: {repository: {url: 'https://h', chart: a}}, verify: {signers: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE5x]}}", "gitops.charts[0].verify: says nothing of a chart of a repository, which no commit holds; remove it, or keep the chart in a project"},
		"verify, elsewhere": {"{release_name: a, " + source + ", values: [{file: {file: v.yaml, ref: {branch: x}}}], verify: {signers: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE5x]}}", "gitops.charts[0].verify: says nothing of values of another project or ref, or behind a URL; keep them in the chart's repository at the same ref, inline, in a ConfigMap or in a Secret"},
		"verify, URL":       {"{release_name: a, " + source + ", values: [{url: {url: 'https://h/v'}}], verify: {signers: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE5x]}}", "gitops.charts[0].verify: says nothing of values of another project or ref, or behind a URL; "},
		"signer":            {"{release_name: a, " + source + ", verify: {signers: [jane]}}", "gitops.charts[0].verify.signers[0]: not a public key; "},
		"history":           {"{release_name: a, " + source + ", history: 3}", `gitops.charts[0].history: unknown key; did you mean "max_history"?`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := readOwn(t, "gitops: {charts: ["+tt.in+"]}")
			if err == nil {
				t.Fatal("accepted")
			}
			if got := err.Error(); !strings.HasPrefix(got, "f:1:") || !strings.Contains(got, " "+tt.want) {
				t.Error(got)
			}
		})
	}
	_, err := readOwn(t, "gitops: {charts: [{release_name: a, "+source+", wait_for_jobs: true, timeout: 30000s, values: [{file: {file: ../a}}]}]}")
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("not all faults at once: %v", err)
	}
}
