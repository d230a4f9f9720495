//go:build integration

package syncer

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/towline/towline/pkg/agentconfig"
	"github.com/towline/towline/pkg/grant"
	"github.com/towline/towline/pkg/ledger"
	"github.com/towline/towline/pkg/ledger/redistest"
	"github.com/towline/towline/pkg/seal"
	"github.com/towline/towline/pkg/syncspec"
)

const (
	clusterEnv = "TOWLINE_E2E_KUBECONFIG"
	entryName  = "shop"
	within     = 60 * time.Second
	// actAsSync makes the test binary a sync process that leaves its number in
	// the file that follows.
	actAsSync = "act-as-sync"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == actAsSync {
		if err := os.WriteFile(os.Args[2], []byte(strconv.Itoa(os.Getpid())), fileMode); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(ExitProtocol)
		}
		os.Exit(Main(context.Background(), os.Stdin, os.Stdout))
	}
	os.Exit(m.Run())
}

// site is one entry's way from the ledger to a real API server: the test plays
// the tunnel and policy.
type site struct {
	testing.TB
	config    *rest.Config
	client    kubernetes.Interface
	namespace string
	redis     *redistest.Server
	prefix    string
	ledger    *ledger.Ledger
	box       *seal.Box
	signer    *grant.Signer
	windows   []agentconfig.Window // of the entry
}

func newSite(t testing.TB) *site {
	t.Helper()
	s := &site{TB: t, redis: redistest.New(t), prefix: redistest.Prefix(t)}
	path := os.Getenv(clusterEnv)
	if path == "" {
		t.Fatalf("%s is not set", clusterEnv)
	}
	var err error
	s.config, err = clientcmd.BuildConfigFromFlags("", path)
	s.must(err)
	s.config.QPS = -1
	s.client, err = kubernetes.NewForConfig(s.config)
	s.must(err)
	ns, err := s.client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "syncer-"}}, metav1.CreateOptions{})
	s.must(err)
	s.namespace = ns.Name
	t.Cleanup(func() {
		_ = s.client.CoreV1().Namespaces().Delete(context.Background(), s.namespace, metav1.DeleteOptions{})
	})
	_, err = s.client.RbacV1().RoleBindings(s.namespace).Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "sync"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: grant.GitOpsUser + entryName}},
	}, metav1.CreateOptions{})
	s.must(err)
	s.ledger = ledger.New(s.redis.Client(), s.prefix)
	s.box, err = seal.New(bytes.Repeat([]byte{7}, seal.KeySize))
	s.must(err)
	_, key, err := ed25519.GenerateKey(nil)
	s.must(err)
	s.signer, err = grant.NewSigner(key)
	s.must(err)
	return s
}

func (s *site) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// want makes files the wanted state.
func (s *site) want(files map[string]string) {
	s.Helper()
	var list []syncspec.File
	for _, name := range slices.Sorted(maps.Keys(files)) {
		list = append(list, syncspec.File{Path: name, Content: []byte(files[name])})
	}
	bundle, err := syncspec.Pack(list)
	s.must(err)
	digest := grant.Digest(bundle)
	commit := strings.TrimPrefix(digest, "sha256:")[:40]
	s.must(s.ledger.PutBundle(s.Context(), s.box, digest, bundle))
	task, err := json.Marshal(syncspec.Task{Schema: syncspec.Schema, ProjectID: 42, Commit: commit, Bundle: digest, Entry: agentconfig.Manifests{
		Name: entryName, Project: entryName, DefaultNamespace: s.namespace, DryRun: "none", Prune: true, PruneTimeout: within, PrunePropagation: "background",
		Windows: s.windows, InventoryPolicy: "must_match", OnInvalid: "stop", OnConflict: "take", PruneWhen: "applied", Replace: true,
	}})
	s.must(err)
	sync := grant.Sync{Entry: entryName, Project: entryName, Commit: commit}
	token, err := s.signer.Sign(grant.Claims{
		RegisteredClaims: jwt.RegisteredClaims{ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Hour))}, Sync: &sync,
		Identity: grant.Identity{Mode: grant.ModeGitOps, User: grant.GitOpsUser + entryName},
		Agent:    grant.Agent{ID: 7, Project: "acme/agents", Name: "production"}, PayloadDigest: grant.Digest(task),
	})
	s.must(err)
	order, err := json.Marshal(syncspec.Order{Task: task, Grant: token})
	s.must(err)
	sealed, err := ledger.SealTask(s.box, entryName, order)
	s.must(err)
	_, err = s.ledger.WantSync(s.Context(), entryName, sealed)
	s.must(err)
}

// result waits until the wanted state was tried, as the tunnel does, or until
// the runner has ended.
func (s *site) result(runner <-chan struct{}) (report syncspec.Report, ended bool) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), within)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		s.must(s.ledger.RepairSync(ctx, entryName))
		rec, err := s.ledger.LoadSync(ctx, entryName)
		s.must(err)
		if rec.State == ledger.SyncDone {
			text, err := ledger.OpenSyncResult(s.box, entryName, rec.Of, rec.Result)
			s.must(err)
			s.must(json.Unmarshal(text, &report))
			return report, false
		}
		select {
		case <-runner:
			return report, true
		case <-ctx.Done():
			s.Fatalf("the sync is %s", rec.State)
		case <-tick.C:
		}
	}
}

// TestAWindowThatHasClosed: what was wanted inside of a window is not done behind it.
func TestAWindowThatHasClosed(t *testing.T) {
	s := newSite(t)
	day := strings.ToLower(time.Now().UTC().AddDate(0, 0, 3).Format("Mon"))
	s.windows = []agentconfig.Window{{Days: []string{day}, From: "00:00", To: "00:00"}}
	r := s.start(death{})
	defer r.stop()
	s.want(map[string]string{"none.yaml": "# nothing\n"})
	if report, _ := s.result(r.done); report.State != syncspec.Lost || !strings.HasPrefix(report.Summary(), "the entry's window has closed") {
		t.Errorf("%s: %s", report.State, report.Summary())
	}
}

// leaseEnds makes time pass for the lease of a runner that died.
func (s *site) leaseEnds() {
	s.Helper()
	n, err := s.redis.Client().Del(s.Context(), s.prefix+":{sync:"+entryName+"}:lease").Result()
	s.must(err)
	if n != 1 {
		s.Errorf("the dead runner had no lease")
	}
}

// sync makes files the state of the cluster, with a runner that lives.
func (s *site) sync(files map[string]string) {
	s.Helper()
	r := s.start(death{})
	defer r.stop()
	s.want(files)
	if report, _ := s.result(r.done); report.State != syncspec.Succeeded {
		s.Fatalf("%s: %s", report.State, report.Summary())
	}
}

// owned is what the entry has in the cluster: values, and what tells an object
// from one that was made anew.
func (s *site) owned() (text string, uids map[string]types.UID) {
	s.Helper()
	uids = map[string]types.UID{}
	var out []string
	note := func(kind string, o metav1.ObjectMeta, value string) {
		if o.Annotations["config.k8s.io/owning-inventory"] != "" {
			out = append(out, kind+"/"+o.Name+"="+value)
			uids[kind+"/"+o.Name] = o.UID
		}
	}
	maps, err := s.client.CoreV1().ConfigMaps(s.namespace).List(s.Context(), metav1.ListOptions{})
	s.must(err)
	for i := range maps.Items {
		note("ConfigMap", maps.Items[i].ObjectMeta, maps.Items[i].Data["value"])
	}
	secrets, err := s.client.CoreV1().Secrets(s.namespace).List(s.Context(), metav1.ListOptions{})
	s.must(err)
	for i := range secrets.Items {
		note("Secret", secrets.Items[i].ObjectMeta, string(secrets.Items[i].Data["value"]))
	}
	slices.Sort(out)
	return strings.Join(out, " "), uids
}
