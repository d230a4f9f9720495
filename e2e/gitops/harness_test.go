package gitops

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/towline/towline/e2e/cluster"
	sim "github.com/towline/towline/e2e/gitlabsim"
	"github.com/towline/towline/e2e/rig"
	"github.com/towline/towline/pkg/ledger/redistest"
)

const (
	agentProject = "acme/agents"
	agentName    = "production"
	shop         = "acme/apps/shop"
	within       = 5 * time.Minute // for machines that are slow or busy
	pollEvery    = 20 * time.Millisecond
)

func TestMain(m *testing.M) { os.Exit(rig.Main(m)) }

// bench is one installation that follows the project shop. What it shares with
// the installations of other packages has short names here.
type bench struct {
	*rig.Trial
	cluster   *cluster.Cluster
	kube      kubernetes.Interface
	namespace string
	gitlab    *sim.Server
	redis     *redistest.Server
	token     string // that reads shop
	rig       *rig.Rig
	opts      *rig.Options
	within    time.Duration // how long it waits
	access    string        // config.yaml
}

// open starts an installation with this towline.yaml, in which NAMESPACE stands
// for the test's own. The syncs may edit that namespace.
func open(t testing.TB, towline string, first map[string]string, tunnelArgs ...string) *bench {
	t.Helper()
	return openWith(t, "", towline, first, tunnelArgs...)
}

// openWith is open with a config.yaml.
func openWith(t testing.TB, access, towline string, first map[string]string, tunnelArgs ...string) *bench {
	t.Helper()
	trial := rig.NewTrial(t, time.Second)
	b := &bench{Trial: trial, cluster: trial.Cluster, kube: trial.Kube, namespace: trial.Namespace, gitlab: trial.GitLab, redis: trial.Redis, opts: &trial.Options, access: access, within: within}
	b.Project(agentProject)
	b.Project(shop)
	b.Agent(agentProject, agentName)
	var err error
	b.token, err = b.gitlab.CreateAccessToken(sim.AccessTokenOptions{Project: shop, Scopes: []string{"api"}})
	b.must(err)
	b.configure(towline)
	b.push(first)
	token := b.opts.Dir + "/gitops.token"
	b.must(os.WriteFile(token, []byte(b.token), 0o600))
	b.opts.TunnelArgs = append([]string{"--gitops", "--gitops-token-file=" + token, "--gitops-interval=300ms"}, tunnelArgs...)
	b.Allow("gitlab:gitops", "edit")
	b.Start()
	b.rig = b.Rig
	return b
}

func (b *bench) must(err error) {
	b.Helper()
	b.Must(err)
}

// configure pushes towline.yaml and returns the commit.
func (b *bench) configure(towline string) string {
	b.Helper()
	sha, err := b.gitlab.Push(agentProject, "", map[string]string{
		".gitlab/agents/" + agentName + "/config.yaml": b.fill(b.access), ".gitlab/agents/" + agentName + "/towline.yaml": b.fill(towline),
	})
	b.must(err)
	return sha
}

func (b *bench) fill(text string) string { return strings.ReplaceAll(text, "NAMESPACE", b.namespace) }

// push changes files of shop; an empty content deletes.
func (b *bench) push(files map[string]string) string {
	b.Helper()
	changes := map[string]*string{}
	for name, content := range files {
		if content == "" {
			changes[name] = nil
			continue
		}
		text := b.fill(content)
		changes[name] = &text
	}
	sha, err := b.gitlab.PushFiles(shop, "", changes)
	b.must(err)
	return sha
}

// status waits for the status of an entry on a commit and returns what it says.
func (b *bench) status(entry, sha, state string) string {
	b.Helper()
	return b.statusIn(shop, entry, sha, state)
}

// statusIn is status of a commit of another project.
func (b *bench) statusIn(project, entry, sha, state string) string {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), b.within)
	defer cancel()
	st, err := b.gitlab.WaitCommitStatus(ctx, project, sha, "towline/"+agentName+"/"+entry, "success", "failed")
	b.must(err)
	if st.Status != state {
		b.Fatalf("status of %.8s is %s: %s", sha, st.Status, st.Description)
	}
	if page := b.gitlab.URL() + "/" + agentProject + "/-/cluster_agents/" + agentName; st.TargetURL != page {
		b.Errorf("status of %.8s leads to %q, want %q", sha, st.TargetURL, page)
	}
	return st.Description
}

// eventually waits until what a look at the cluster says is as wanted.
func (b *bench) eventually(what string, ok func(ctx context.Context) bool) {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), b.within)
	defer cancel()
	for !ok(ctx) {
		select {
		case <-ctx.Done():
			b.Fatalf("not in time: %s", what)
		case <-time.After(pollEvery):
		}
	}
}

// data is the data of a ConfigMap, nil when it is not there.
func (b *bench) data(name string) map[string]string {
	b.Helper()
	return b.dataIn(b.namespace, name)
}

func (b *bench) dataIn(namespace, name string) map[string]string {
	b.Helper()
	cm, err := b.kube.CoreV1().ConfigMaps(namespace).Get(context.Background(), name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	b.must(err)
	return cm.Data
}

func configMap(name, key, value string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: %s\ndata:\n  %s: %q\n", name, key, value)
}

const plain = `
gitops:
  manifest_projects:
    - id: acme/apps/shop
      default_namespace: NAMESPACE
      paths: [{glob: "k8s/**/*.yaml"}]
      interval: 10s
`
