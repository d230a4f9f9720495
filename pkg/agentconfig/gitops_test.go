package agentconfig

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// readOwn reads a gitops section as towline.yaml has it.
func readOwn(t *testing.T, content string) (GitOps, error) {
	t.Helper()
	own, _, err := ParseTowline("f", []byte(content))
	if err != nil {
		return GitOps{}, err
	}
	return own.GitOps, nil
}

func TestOldEntriesHaveTheOldDefaults(t *testing.T) {
	cfg, _, err := Parse("f", []byte("gitops: {manifest_projects: [{id: group/app}, {paths: [{glob: '/a/**/*.yaml'}]}]}"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := Manifests{
		Name: "group/app", Project: "group/app", Globs: []string{DefaultGlob}, DefaultNamespace: "default", ReconcileTimeout: time.Hour,
		DryRun: "none", Prune: true, PruneTimeout: time.Hour, PrunePropagation: "foreground", InventoryPolicy: "must_match",
		Interval: 5 * time.Minute, AccessAs: AccessAs{Mode: AsGitOps}, OnInvalid: "stop", OnConflict: "take", PruneWhen: "applied",
		File: "f", Line: 1, Column: 30, Key: "gitops.manifest_projects[0]",
	}
	own := want
	own.Name, own.Project, own.Globs, own.Column, own.Key = "group/agents", "group/agents", []string{"a/**/*.yaml"}, 47, "gitops.manifest_projects[1]"
	if diff := cmp.Diff([]Manifests{want, own}, cfg.GitOps.In("group/agents").Manifests); diff != "" {
		t.Error(diff)
	}
}

func TestTowlinesOwnKeys(t *testing.T) {
	g, err := readOwn(t, `
gitops:
  manifest_projects:
    - name: shop
      id: acme/shop
      ref: {tag: v1}
      kustomize: {path: /deploy/production/, files: [/deploy/**]}
      substitute:
        vars: {DOMAIN: example.com, REPLICAS: 3}
        from: [{kind: Secret, name: shop-values, optional: true}]
        gitlab: {variables: [IMAGE_TAG, _TOKEN], environment: review/shop}
      depends_on: [Base]
      decrypt: {secret: sops-age}
      verify: {signers: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE5x jane]}
      suspend: true
      windows: [{days: [mon, tue], from: "22:00", to: "04:00", zone: Europe/Berlin}]
      interval: 60s
      namespaces: [shop, shop-jobs]
      access_as: {impersonate: {username: deployer, groups: [a]}}
      on_invalid: skip
      on_conflict: fail
      prune_when: healthy
      replace: true
      ignore: [{group: apps, kind: Deployment, name: web*, paths: [/spec/replicas]}]
      health: [{group: example.com, kind: Database, healthy: status.phase == "Ready", failed: status.phase == "Error"}]
    - {name: base, id: acme/shop, access_as: {agent: {}}}
`)
	if err != nil {
		t.Fatal(err)
	}
	want := Manifests{
		Name: "shop", Project: "acme/shop", Ref: GitRef{Tag: "v1"}, Kustomize: "deploy/production", Globs: []string{"deploy/**"},
		Substitute: map[string]string{"DOMAIN": "example.com", "REPLICAS": "3"}, SubstituteFrom: []ValueSource{{"Secret", "shop-values", true}},
		SubstituteGitLab: &GitLabVariables{Names: []string{"IMAGE_TAG", "_TOKEN"}, Environment: "review/shop"},
		DecryptSecret:    "sops-age", Signers: []string{"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE5x jane"}, DependsOn: []string{"Base"}, Suspend: true, Windows: []Window{{[]string{"mon", "tue"}, "22:00", "04:00", "Europe/Berlin"}},
		Interval: time.Minute, Namespaces: []string{"shop", "shop-jobs"},
		AccessAs:  AccessAs{Mode: AsImpersonate, Impersonate: &Impersonate{Username: "deployer", Groups: []string{"a"}}},
		OnInvalid: "skip", OnConflict: "fail", PruneWhen: "healthy", Replace: true,
		Ignore: []Ignore{{Group: "apps", Kind: "Deployment", Name: "web*", Paths: []string{"/spec/replicas"}}},
		Health: []HealthRule{{"example.com", "Database", `status.phase == "Ready"`, `status.phase == "Error"`}},
	}
	places := cmpopts.IgnoreFields(Manifests{}, "File", "Line", "Column", "Key", "DefaultNamespace", "ReconcileTimeout", "DryRun", "Prune", "PruneTimeout", "PrunePropagation", "InventoryPolicy")
	if diff := cmp.Diff(want, g.Manifests[0], places); diff != "" {
		t.Error(diff)
	}
	if !g.Manifests[0].Substitutes() || g.Manifests[1].Substitutes() || !(Manifests{SubstituteGitLab: want.SubstituteGitLab}).Substitutes() {
		t.Error("which entries substitute is not known")
	}
	if g.Manifests[1].AccessAs.Mode != AsAgent {
		t.Errorf("access_as: %+v", g.Manifests[1].AccessAs)
	}
}

func TestFaultsOfGitOps(t *testing.T) {
	for name, tt := range map[string]struct{ in, want string }{
		"same project twice": {"{manifest_projects: [{id: a/b}, {id: A/b}]}", `f:1:41: gitops.manifest_projects[1]: a second entry with the name "A/b"; give each entry a name of its own with the key "name" (in towline.yaml)`},
		"glob":               {"{manifest_projects: [{id: a/b, paths: [{glob: 'x[.yaml'}]}]}", `f:1:55: gitops.manifest_projects[0].paths[0].glob: not a pattern; close each [ and {, or write \[ for the sign itself`},
		"two ways":           {"{manifest_projects: [{id: a/b, kustomize: {}, paths: [{glob: a}]}]}", `f:1:62: gitops.manifest_projects[0].paths: stands beside kustomize; keep one: files as they are, or a directory that kustomize builds`},
		"outside":            {"{manifest_projects: [{id: a/b, kustomize: {path: a/../../b}}]}", `f:1:58: gitops.manifest_projects[0].kustomize.path: leads out of the repository; write the directory from the root of the repository, for example deploy/production`},
		"interval":           {"{manifest_projects: [{id: a/b, interval: 1s}]}", `f:1:50: gitops.manifest_projects[0].interval: is out of bounds; write 10s to 86400s`},
		"unknown dependency": {"{manifest_projects: [{id: a/b, depends_on: [c]}]}", `f:1:52: gitops.manifest_projects[0].depends_on: there is no entry with the name "c"; name an entry of manifest_projects, or a release as namespace/release_name`},
		"job":                {"{manifest_projects: [{id: a/b, access_as: {ci_job: {}}}]}", `f:1:52: gitops.manifest_projects[0].access_as.ci_job: unknown key; a sync is no job; use "gitops", which is the default`},
		"clock":              {"{manifest_projects: [{id: a/b, windows: [{from: '9:00', to: '10:00'}]}]}", `f:1:57: gitops.manifest_projects[0].windows[0].from: not a time of day; write hours and minutes in quotes, for example "22:00"`},
		"zone":               {"{manifest_projects: [{id: a/b, windows: [{from: '09:00', to: '10:00', zone: Mars}]}]}", `f:1:85: gitops.manifest_projects[0].windows[0].zone: not a time zone; write a name such as Europe/Berlin, or leave it out for UTC`},
		"versions":           {"{manifest_projects: [{id: a/b, ref: {semver: newest}}]}", `f:1:54: gitops.manifest_projects[0].ref.semver: not a range of versions; write a range of versions in quotes, for example ">=1.2.0 <2" or "~1.4"`},
		"no rule":            {"{manifest_projects: [{id: a/b, health: [{kind: Database}]}]}", `f:1:49: gitops.manifest_projects[0].health[0].healthy: is missing; every entry here needs it`},
		"no secret":          {"{manifest_projects: [{id: a/b, decrypt: {}}]}", `f:1:49: gitops.manifest_projects[0].decrypt.secret: is missing; every entry here needs it`},
		"no signer":          {"{manifest_projects: [{id: a/b, verify: {signers: [jane@example.com]}}]}", `f:1:59: gitops.manifest_projects[0].verify.signers[0]: not a public key; write a public key of SSH as in id_ed25519.pub (ssh-ed25519 AAAA... name), or the output of gpg --armor --export`},
		"another kind":       {"{manifest_projects: [{id: a/b, verify: {signers: [ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIE5x]}}]}", `f:1:59: gitops.manifest_projects[0].verify.signers[0]: not a public key; write a public key of SSH as in id_ed25519.pub (ssh-ed25519 AAAA... name), or the output of gpg --armor --export`},
		"private":            {"{manifest_projects: [{id: a/b, verify: {signers: ['-----BEGIN OPENSSH PRIVATE KEY-----']}}]}", `f:1:59: gitops.manifest_projects[0].verify.signers[0]: a private key; it is known to others now: replace it, and write the public one here`},
		"odd secret":         {"{manifest_projects: [{id: a/b, decrypt: {secret: A_b}}]}", `f:1:58: gitops.manifest_projects[0].decrypt.secret: not a name of an object; use lower-case letters, digits, dots and dashes, at most 253`},
		"two refs":           {"{manifest_projects: [{id: a/b, ref: {semver: '1.x', tag: v1}}]}", `f:1:45: gitops.manifest_projects[0].ref: has 2 keys, want exactly one; choose one of "branch", "commit", "semver", "tag"`},
		"all variables":      {"{manifest_projects: [{id: a/b, substitute: {gitlab: {environment: production}}}]}", `f:1:61: gitops.manifest_projects[0].substitute.gitlab.variables: is missing; every entry here needs it`},
		"a variable's name":  {"{manifest_projects: [{id: a/b, substitute: {gitlab: {variables: ['*']}}}]}", `f:1:74: gitops.manifest_projects[0].substitute.gitlab.variables[0]: not a name for a variable; use letters, digits and underscores, at most 100, and no digit first`},
		"a variable twice":   {"{manifest_projects: [{id: a/b, substitute: {gitlab: {variables: [A, A]}}}]}", `f:1:77: gitops.manifest_projects[0].substitute.gitlab.variables[1]: "A" is listed twice; the first one is in line 1`},
		"environments":       {"{manifest_projects: [{id: a/b, substitute: {gitlab: {variables: [A], environment: 'review/*'}}}]}", `f:1:91: gitops.manifest_projects[0].substitute.gitlab.environment: not a name for an environment; use letters, digits, spaces and -_/$.{}, no slash first or last, at most 255`},
		"pointer":            {"{manifest_projects: [{id: a/b, ignore: [{paths: [spec.replicas]}]}]}", `f:1:58: gitops.manifest_projects[0].ignore[0].paths[0]: not the path of a field; write it from the root with slashes, for example /spec/replicas`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := readOwn(t, "gitops: "+tt.in)
			if err == nil {
				t.Fatal("accepted")
			}
			if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
				t.Error(diff)
			}
		})
	}
	if _, _, err := Parse("f", []byte("gitops: {manifest_projects: [{id: a/b, ref: {semver: '1.x'}}]}"), Options{}); err == nil {
		t.Error("config.yaml, which GitLab reads, was accepted with a key that GitLab does not know")
	}
	if _, err := readOwn(t, "gitops: {manifest_projects: [{name: a, id: x/y, depends_on: [b]}, {name: b, id: x/z, depends_on: [A]}]}"); err == nil {
		t.Error("a circle was accepted")
	}
}

func TestWindows(t *testing.T) {
	night := Manifests{Windows: []Window{{Days: []string{"fri"}, From: "22:00", To: "04:00", Zone: "Europe/Berlin"}}}
	for text, want := range map[string]bool{
		"2026-11-27T21:30:00Z": true,  // Friday, 22:30
		"2026-11-28T02:59:00Z": true,  // Saturday, 03:59
		"2026-11-28T03:00:00Z": false, // Saturday, 04:00
		"2026-11-28T21:30:00Z": false, // Saturday, 22:30
		"2026-11-27T20:59:00Z": false, // Friday, 21:59
	} {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		if night.OpenAt(at) != want || !(Manifests{}).OpenAt(at) {
			t.Errorf("%s: open %v", text, !want)
		}
	}
	weekend := Window{Days: []string{"sat", "sun"}, From: "00:00", To: "00:00"}
	shifted := Window{Days: []string{"sat"}, From: "06:00", To: "06:00"}
	for day, want := range map[int]bool{27: false, 28: true, 29: true, 30: false} { // from Friday
		for hour := range 24 {
			at := time.Date(2026, time.November, day, hour, 59, 0, 0, time.UTC)
			if weekend.Open(at) != want {
				t.Errorf("%s: open %v", at, !want)
			}
			if open := day == 28 && hour >= 6 || day == 29 && hour < 6; shifted.Open(at) != open {
				t.Errorf("%s: open %v", at, !open)
			}
		}
	}
}
