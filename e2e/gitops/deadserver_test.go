package gitops

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	sim "github.com/towline/towline/e2e/gitlabsim"
)

// ofTheDead is how many entries need a server that never answers. One after the
// other in the two slots of a runner they would hold up the rest for longer than
// any of this package's tests waits.
const ofTheDead = 12

const alive = `
    - release_name: web
      namespace: NAMESPACE
      source: {repository: {url: "http://HOST/charts", chart: web, secret: repository}}
  manifest_projects:
    - {name: alive, id: acme/apps/shop, default_namespace: NAMESPACE, paths: [{glob: "k8s/*.yaml"}], interval: 10s}
`

// One server of charts that accepts and says nothing costs other entries hardly
// any time, however many entries need it; and it is used again once it is back.
func TestADeadServerHoldsUpNobody(t *testing.T) {
	t.Parallel() // it waits for the server most of the time
	charts := newChartServer(t)
	charts.publish("1.0.0", map[string]string{"a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: \"{{ .Release.Name }}\"}\ndata: {x: \"1\"}\n"})
	token := t.TempDir() + "/agents.token"
	b := open(t, "gitops: {}", map[string]string{"k8s/a.yaml": configMap("a", "x", "0")}, "--gitops-tokens="+agentProject+"="+token, "--egress-hosts="+charts.host)
	text, err := b.gitlab.CreateAccessToken(sim.AccessTokenOptions{Project: agentProject, Scopes: []string{"api"}})
	b.must(err)
	b.must(os.WriteFile(token, []byte(text), 0o600))
	b.secret("repository", corev1.SecretTypeBasicAuth, map[string]string{"username": chartUser, "password": chartPassword})
	var dead strings.Builder
	dead.WriteString("gitops:\n  charts:\n")
	for n := range ofTheDead {
		fmt.Fprintf(&dead, "    - {release_name: dead%d, namespace: NAMESPACE, source: {repository: {url: \"http://%s/dead\", chart: web}}}\n", n, charts.host)
	}
	b.configure(dead.String())
	const slots = 2        // of a runner
	b.within = time.Minute // one entry after the other would need three
	b.eventually("all slots wait", func(context.Context) bool { return charts.dead.Load() >= slots })

	config := dead.String() + strings.ReplaceAll(alive, "HOST", charts.host)
	commit := b.configure(config)
	b.statusIn(agentProject, b.namespace+"/web", commit, "success")
	for n := range 5 {
		b.status("alive", b.push(map[string]string{"k8s/a.yaml": configMap("a", "x", fmt.Sprint(n+1))}), "success")
	}
	if n := charts.dead.Load(); n > 2*slots+1 { // the second configuration may have come before the slots were free
		t.Errorf("a dead server was asked %d times", n)
	}

	b.archiveFails()

	// One of them finds out, and the others need not.
	refused := 0
	for n := range ofTheDead {
		said := b.statusIn(agentProject, fmt.Sprintf("%s/dead%d", b.namespace, n), commit, "failed")
		if strings.HasPrefix(said, fmt.Sprintf("entry %s/dead%d is not tried now: %s did not answer ", b.namespace, n, charts.host)) {
			refused++
		} else if !strings.Contains(said, "it comes too slowly: no answer in 30s") {
			t.Errorf("dead%d: %q", n, said)
		}
	}
	if refused == 0 {
		t.Error("every entry has asked the dead server")
	}
	charts.healed.Store(true)
	b.within = within
	came := func(n int) bool { return b.data(fmt.Sprint("dead", n)) != nil }
	b.eventually("a release of the server that is back", func(context.Context) bool {
		for n := range ofTheDead {
			if came(n) {
				return true
			}
		}
		return false
	})
	b.configure("# nothing is held against it any more\n" + config)
	for n := range ofTheDead {
		b.eventually("the other releases", func(context.Context) bool { return came(n) })
	}
}

// archiveFails has GitLab send no archive for a while: the commit says that it
// waits, and the newer one succeeds once the archive comes, though GitLab does not
// hear of it at first.
func (b *bench) archiveFails() {
	b.Helper()
	fault := b.gitlab.Inject(sim.Fault{Endpoint: sim.Archive, Times: -1, Status: http.StatusServiceUnavailable})
	commit := b.push(map[string]string{"k8s/a.yaml": configMap("a", "x", "late")})
	ctx, cancel := context.WithTimeout(b.Context(), b.within)
	defer cancel()
	const entry = "towline/" + agentName + "/alive"
	st, err := b.gitlab.WaitCommitStatus(ctx, shop, commit, entry, "pending", "success", "failed")
	b.must(err)
	if want := "waiting for the archive of " + shop + ": "; st.Status != "pending" || !strings.HasPrefix(st.Description, want) || !strings.HasSuffix(st.Description, "; trying again") {
		b.Errorf("%s: %q", st.Status, st.Description)
	}
	if n := b.gitlab.FaultHits(fault); n < 2 {
		b.Errorf("GitLab was asked for the archive %d times", n)
	}
	newer := b.push(map[string]string{"k8s/a.yaml": configMap("a", "x", "later")})
	b.gitlab.ClearFaults()
	fault = b.gitlab.Inject(sim.Fault{Endpoint: sim.Statuses, Times: 3, Status: http.StatusBadGateway})
	b.status("alive", newer, "success")
	if got := b.data("a")["x"]; got != "later" || b.gitlab.FaultHits(fault) != 3 {
		b.Errorf("x is %q, GitLab has not heard %d times", got, b.gitlab.FaultHits(fault))
	}
	st, err = b.gitlab.WaitCommitStatus(ctx, shop, commit, entry, "canceled")
	b.must(err)
	if st.Description != "superseded by "+newer[:8] {
		b.Errorf("the older commit: %q", st.Description)
	}
}
