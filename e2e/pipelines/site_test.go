package pipelines

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/towline/towline/e2e/cluster"
	sim "github.com/towline/towline/e2e/gitlabsim"
	"github.com/towline/towline/e2e/rig"
)

var (
	update = flag.Bool("update", false, "write want/ from what the pipelines print and leave in the cluster")
	oracle = flag.String("oracle", "", "run the scripts with the real bash and the programs of this folder, and compare with want/")
)

const (
	group      = "acme"
	clusters   = "acme/clusters" // the agent's configuration project
	agentName  = "production"
	agentFile  = ".gitlab/agents/" + agentName + "/config.yaml"
	agentRules = "ci_access:\n  groups:\n    - id: " + group + "\n      access_as:\n        ci_job: {}\n"
	concurrent = 2
	longPoll   = 2 * time.Second
	restWithin = 3 * time.Minute
	// envToolbox names the toolbox folder; by default it is what make toolbox
	// makes.
	envToolbox     = "TOWLINE_E2E_TOOLBOX"
	defaultToolbox = "../../bin/toolbox"
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	flag.Parse()
	if *oracle != "" {
		return cluster.Main(m)
	}
	return rig.Main(m)
}

// site is one GitLab, one cluster and one installation for all projects.
type site struct {
	cluster   *cluster.Cluster
	kube      kubernetes.Interface
	dynamic   dynamic.Interface
	discovery discovery.DiscoveryInterface
	gitlab    *sim.Server
	dir       string
}

// open starts the site; it ends with the test.
func open(t *testing.T) *site {
	t.Helper()
	trial := rig.NewTrial(t, longPoll)
	s := &site{cluster: trial.Cluster, gitlab: trial.GitLab, dir: trial.Options.Dir}
	cfg, err := s.cluster.RESTConfig()
	must(t, err)
	cfg.QPS = -1
	s.kube, err = kubernetes.NewForConfig(cfg)
	must(t, err)
	s.dynamic, err = dynamic.NewForConfig(cfg)
	must(t, err)
	s.discovery = s.kube.Discovery()
	trial.Project(clusters)
	_, err = s.gitlab.Push(clusters, "main", map[string]string{agentFile: agentRules})
	must(t, err)
	trial.Agent(clusters, agentName)
	if *oracle != "" {
		s.consult(t, trial.Runner.Token)
		return s
	}
	trial.Options.Concurrent, trial.Options.RunnerArgs = concurrent, []string{"--toolbox=" + toolbox(t)}
	trial.Stopped = func() {
		if left, err := filepath.Glob(filepath.Join(s.dir, "work", "*", "*", "project")); err != nil || len(left) > 0 {
			t.Errorf("job directories are left behind: %v (%v)", left, err)
		}
	}
	trial.Start()
	return s
}

func toolbox(t *testing.T) string {
	t.Helper()
	dir := os.Getenv(envToolbox)
	if dir == "" {
		dir = defaultToolbox
	}
	dir, err := filepath.Abs(dir)
	must(t, err)
	if _, err := os.Stat(filepath.Join(dir, "busybox")); err != nil {
		t.Fatalf("the toolbox folder is missing (%v): run make toolbox, which needs the Debian package busybox-static", err)
	}
	return dir
}

// prepare makes a project's namespaces with the rights of its jobs.
func (s *site) prepare(t *testing.T, d description, project int64, namespace string) {
	t.Helper()
	ctx := context.Background()
	jobs := fmt.Sprintf("gitlab:project:%d", project)
	for _, suffix := range d.Namespaces {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace + suffix}}
		_, err := s.kube.CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{})
		must(t, err)
		t.Cleanup(func() { _ = s.kube.CoreV1().Namespaces().Delete(ctx, ns.Name, metav1.DeleteOptions{}) })
		must(t, rig.Allow(ctx, s.cluster, rig.Access{Group: jobs, Namespace: ns.Name, Role: d.Role}))
		s.awaitAccount(t, ns.Name)
	}
	if d.Role != "cluster-admin" {
		return
	}
	b := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: namespace},
		Subjects:   []rbacv1.Subject{{Kind: "Group", APIGroup: rbacv1.GroupName, Name: jobs}},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: d.Role},
	}
	_, err := s.kube.RbacV1().ClusterRoleBindings().Create(ctx, b, metav1.CreateOptions{})
	must(t, err)
	t.Cleanup(func() { _ = s.kube.RbacV1().ClusterRoleBindings().Delete(ctx, b.Name, metav1.DeleteOptions{}) })
}

// awaitAccount waits for the namespace's default ServiceAccount, which comes a
// moment after the namespace.
func (s *site) awaitAccount(t *testing.T, namespace string) {
	t.Helper()
	await(t, "the ServiceAccount of "+namespace, func() bool {
		_, err := s.kube.CoreV1().ServiceAccounts(namespace).Get(context.Background(), "default", metav1.GetOptions{})
		return err == nil
	})
}

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(restWithin); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s is not there after %s", what, restWithin)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// path is the project's path; its name is the folder's.
func path(name string) string { return group + "/" + strings.ToLower(name) }
