package gatetest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/towline/towline/e2e/cluster"
	"github.com/towline/towline/pkg/grant"
)

// TestEveryVerbOfKubectl runs the command lines with which services/runner
// compares its own kubectl and the real one, both through this gate, as a job
// of the agent (some say --as) that RBAC allows everything.
func TestEveryVerbOfKubectl(t *testing.T) {
	real, err := cluster.Kubectl(t.Context(), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	b := open(t)
	_ = b.account("towline-agent")
	all := []string{"*"}
	b.clusterRole("towline-agent", rbacv1.PolicyRule{Verbs: all, APIGroups: all, Resources: all}, rbacv1.PolicyRule{Verbs: all, NonResourceURLs: all})
	agent := b.job(func(c *grant.Claims) {
		c.Identity = grant.Identity{Mode: grant.ModeAgent, User: grant.ServiceAccountUser(b.home, "towline-agent")}
	})
	b.eventually("the agent may do everything", func() bool {
		_, err := b.client(agent).CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
		return err == nil
	})
	p := &inPods{bench: b, session: agent, ns: b.home}
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	b.must(clientcmd.WriteToFile(p.kubeconfig(), kubeconfig))
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute) // a build may come first
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "test", "-count=1", "-timeout=4m", "-tags", "integration", "-run", "^TestAsUpstream$", "./internal/toolbox/kubectl")
	cmd.Dir = filepath.Join("..", "..", "services", "runner")
	cmd.Env = append(os.Environ(), "TOWLINE_E2E_KUBECONFIG="+kubeconfig, "TOWLINE_E2E_KUBECTL="+real)
	// The whole group ends with its time, as in TestEmbeddedKubectlInPods.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = patience
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
