package gitops

import (
	"context"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	sim "github.com/towline/towline/e2e/gitlabsim"
	"github.com/towline/towline/e2e/gitlabsim/joblog"
)

const (
	deployers = "acme/deployers"
	strangers = "other/strangers"

	jobAccess = `
ci_access:
  projects:
    - {id: acme/apps/shop, default_namespace: NAMESPACE, access_as: {ci_job: {}}}
    - {id: acme/deployers, default_namespace: NAMESPACE, access_as: {ci_job: {}}}
    - {id: other/strangers, default_namespace: NAMESPACE, access_as: {ci_job: {}}}
`
	jobEntries = `
gitops:
  manifest_projects:
    - id: acme/apps/shop
      default_namespace: NAMESPACE
      paths: [{glob: "k8s/**/*.yaml"}]
      jobs: [acme/deployers]
      environment: production
`
)

// ended is a job that is over.
type ended struct {
	sim.Job
	sha string // of its commit
	log string
}

// job runs a script as a job of a project.
func (b *bench) job(project string, script ...string) ended {
	b.Helper()
	ci := "job:\n  tags: [" + agentName + "]\n  script:\n"
	for _, line := range script {
		ci += fmt.Sprintf("    - %q\n", line)
	}
	_, err := b.gitlab.PushFiles(project, "", map[string]*string{".gitlab-ci.yml": &ci})
	b.must(err)
	p, err := b.gitlab.RunPipeline(sim.PipelineOptions{Project: project})
	b.must(err)
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	j, err := b.gitlab.Wait(ctx, p.Jobs[0].ID)
	raw, traceErr := b.gitlab.Trace(p.Jobs[0].ID)
	b.must(traceErr)
	log := joblog.Text(raw, false)
	if err != nil {
		b.Fatalf("job of %s: %v\n%s", project, err, log)
	}
	return ended{j, p.SHA, log}
}

// expect checks how a job ended and what its log says.
func (b *bench) expect(j ended, exit int, says ...string) {
	b.Helper()
	got := 0
	if j.ExitCode != nil {
		got = *j.ExitCode
	}
	if got != exit || (j.Status == sim.Success) != (exit == 0) {
		b.Errorf("job is %s with exit code %d, want %d\n%s", j.Status, got, exit, j.log)
	}
	for _, text := range says {
		if !strings.Contains(j.log, text) {
			b.Errorf("log does not say %q:\n%s", text, j.log)
		}
	}
}

func TestAJobDeploysByGitOps(t *testing.T) {
	b := openWith(t, jobAccess, jobEntries, map[string]string{"k8s/a.yaml": configMap("a", "x", "1")})
	b.Project(deployers)
	b.Project(strangers)
	b.eventually("the first commit", func(context.Context) bool { return b.data("a")["x"] == "1" })

	b.push(map[string]string{"k8s/a.yaml": configMap("a", "x", "2")})
	j := b.job(shop, "towline sync --wait --timeout 50s")
	b.expect(j, 0, shop+": "+j.sha[:8]+" is applied, in ", ": 1 objects")
	if got := b.data("a")["x"]; got != "2" {
		t.Errorf("the job has waited, and a holds %q", got)
	}

	b.record(j.sha, "running", "success")

	deployed := b.push(map[string]string{"k8s/a.yaml": configMap("a", "x", "of others")})
	j = b.job(deployers, "towline sync acme/apps/shop --wait --timeout 50s", "towline sync acme/apps/shop")
	b.expect(j, 0, shop+": "+deployed[:8]+" is applied, in ", "it is looked at now")
	if got := b.data("a")["x"]; got != "of others" {
		t.Errorf("another project's job has waited, and a holds %q", got)
	}

	j = b.job(strangers, "towline sync acme/apps/shop --wait --timeout 50s")
	b.expect(j, 1, `towline sync: jobs of other/strangers may ask about no entry of gitops with the name "acme/apps/shop"`)

	both, err := b.gitlab.PushCommits(shop, "", map[string]string{"k8s/a.yaml": configMap("a", "x", "passed")}, map[string]string{"k8s/a.yaml": configMap("a", "x", "over")})
	b.must(err)
	j = b.job(shop, "towline sync --wait --timeout 50s --commit "+both[0])
	b.expect(j, 0, " came after "+both[0][:8]+" and holds it\n", " is applied, in ")

	b.previews()

	b.push(map[string]string{"k8s/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {}\n"})
	j = b.job(shop, "towline sync --wait --timeout 50s")
	b.expect(j, 1, "towline sync: "+shop+": "+j.sha[:8]+" has failed:\n  k8s/a.yaml:1: ConfigMap: .metadata.name: missing")

	b.record(j.sha, "running", "failed")
	b.events(j.sha)

	j = b.job(shop, "towline sync --wait --timeout 2s --commit 0123456789012345678901234567890123456789")
	b.expect(j, 124, "not applied within 2s: waits for 01234567: the default branch stands at ")
}

// record waits for the deployment record of a commit and compares its states.
func (b *bench) record(sha string, states ...string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	d, err := b.gitlab.WaitDeployment(ctx, shop, sha, states[len(states)-1])
	b.must(err)
	if got := strings.Join(d.States, " "); got != strings.Join(states, " ") || d.Environment != "production" || d.Ref != "main" {
		b.Errorf("the record of %.8s in %s at %s is %s", sha, d.Environment, d.Ref, got)
	}
}

const password = "apiVersion: v1\nkind: Secret\nmetadata: {name: password}\nstringData: {password: %s, user: me}\n"

// previews shows what working trees would change.
func (b *bench) previews() {
	b.Helper()
	sha := b.push(map[string]string{"k8s/a.yaml": configMap("a", "x", "3"), "k8s/b.yaml": configMap("b", "x", "1"), "k8s/s.yaml": fmt.Sprintf(password, "hunter-one")})
	b.status(shop, sha, "success")

	j := b.job(shop, "towline diff")
	b.expect(j, 2, `towline diff: `, "forbidden", "the rights of this job")
	b.Allow("gitlab:ci_job", "edit")
	j = b.job(shop, "towline diff --exit-code --report none.json", "echo $(cat none.json)")
	b.expect(j, 0, "nothing to change, 3 as they are\n", "\n[]\n")

	change := []string{
		`printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: "4"}\n' > k8s/a.yaml`,
		`printf '` + strings.ReplaceAll(fmt.Sprintf(password, "hunter-two"), "\n", `\n`) + `' > k8s/s.yaml`, "rm k8s/b.yaml",
	}
	j = b.job(shop, append(change, "towline diff --report changes.json", "cat changes.json", "towline diff --exit-code")...)
	a := "ConfigMap " + b.namespace + "/a"
	b.expect(j, 1, "--- "+a+" (in the cluster)\n+++ "+a+" (k8s/a.yaml:1)\n", "\n-  x: \"3\"\n+  x: \"4\"\n",
		"-  password: '*** (before)'\n+  password: '*** (after)'\n   user: '***'\n", "delete ConfigMap "+b.namespace+"/b: it has left the repository\n",
		"2 to change, 1 to delete, 0 as they are\n", `"description": "`+a+` would be changed: .data.x"`, `"path": "k8s/a.yaml"`, `"severity": "major"`)
	for _, secret := range []string{"aHVudGVyL", "hunter-"} {
		if _, said, ok := strings.Cut(j.log, "$ towline diff --report"); !ok || strings.Contains(said, secret) {
			b.Errorf("a value of a Secret is in the log: %s", said)
		}
	}
	if b.data("a")["x"] != "3" || b.data("b")["x"] != "1" {
		b.Errorf("a comparison has changed something: a %v, b %v", b.data("a"), b.data("b"))
	}

	j = b.job(shop, `printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndta: {x: "4"}\n' > k8s/a.yaml`, "towline diff")
	b.expect(j, 2, "towline diff: k8s/a.yaml:1: "+a+" failed: .dta: field not declared in schema")
	j = b.job(deployers, "towline diff acme/apps/shop")
	b.expect(j, 2, "the source of acme/apps/shop is acme/apps/shop, and this working tree is of acme/deployers")
	j = b.job(strangers, "towline diff acme/apps/shop")
	b.expect(j, 2, "jobs of other/strangers may ask about no entry of gitops")
}

// events looks at those of the inventory: one for each commit, and one for its
// failure.
func (b *bench) events(failed string) {
	b.Helper()
	list, err := b.kube.CoreV1().Events(b.namespace).List(context.Background(), metav1.ListOptions{FieldSelector: "source=towline"})
	b.must(err)
	seen := map[string]int{}
	for i := range list.Items {
		e := &list.Items[i]
		if e.InvolvedObject.Kind != "ConfigMap" || !strings.HasPrefix(e.InvolvedObject.Name, "inventory-") {
			b.Errorf("an event about %v", e.InvolvedObject)
		}
		_, rest, _ := strings.Cut(e.Message, " at ")
		commit, _, _ := strings.Cut(rest, ":")
		seen[e.Reason+" "+commit]++
		// The commit with the job comes after that with the fault, which may be seen
		// by itself before.
		if e.Reason == "SyncFailed" && (!strings.Contains(e.Message, "k8s/a.yaml:1: ConfigMap: .metadata.name: missing") || e.Type != "Warning") {
			b.Errorf("%s", e.Message)
		}
	}
	if len(seen) < 5 || seen["SyncFailed "+failed[:8]] != 1 {
		b.Errorf("events: %v", seen)
	}
	for what, n := range seen {
		if n != 1 {
			b.Errorf("%s is told %d times", what, n)
		}
	}
}
