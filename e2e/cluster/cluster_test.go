package cluster_test

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/towline/towline/e2e/cluster"
)

func TestMain(m *testing.M) { os.Exit(cluster.Main(m)) }

func TestReadyAndVersioned(t *testing.T) {
	client := adminClient(t, cluster.Shared(t))
	if err := client.CoreV1().RESTClient().Get().AbsPath("/readyz").Do(t.Context()).Error(); err != nil {
		t.Errorf("/readyz: %v", err)
	}
	version, err := client.Discovery().ServerVersion()
	if err != nil {
		t.Fatal(err)
	}
	// Helm charts compare this with their kubeVersion.
	if !strings.HasPrefix(version.GitVersion, "v1.") || version.Minor == "" || strings.Contains(version.GitVersion, "-") {
		t.Errorf("version = %q, minor %q; want a released version", version.GitVersion, version.Minor)
	}
}

func TestDeploymentGetsReplicaSetAndPendingPod(t *testing.T) {
	c := cluster.Shared(t)
	client, namespace := adminClient(t, c), c.Namespace(t)
	labels := map[string]string{"app": "web"}
	_, err := client.AppsV1().Deployments(namespace).Create(t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "registry.invalid/web:1"}}},
			},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "ReplicaSet", func(ctx context.Context) (bool, error) {
		list, err := client.AppsV1().ReplicaSets(namespace).List(ctx, metav1.ListOptions{})
		return err == nil && len(list.Items) == 1, err
	})
	// The scheduler has looked at the pod when it says that there is no node.
	eventually(t, "unschedulable pod", func(ctx context.Context) (bool, error) {
		list, err := client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
		if err != nil || len(list.Items) != 1 {
			return false, err
		}
		status := list.Items[0].Status
		return status.Phase == corev1.PodPending && slices.ContainsFunc(status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodScheduled && c.Reason == corev1.PodReasonUnschedulable
		}), nil
	})
}

func TestRBACDeniesAnImpersonatedUser(t *testing.T) {
	c := cluster.Shared(t)
	namespace := c.Namespace(t)
	cfg := adminConfig(t, c)
	cfg.Impersonate = rest.ImpersonationConfig{UserName: "mallory", Groups: []string{"strangers"}}
	client := clientFor(t, cfg)
	if _, err := client.CoreV1().Secrets(namespace).List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("list secrets as mallory: %v, want forbidden", err)
	}
	review, err := client.AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := review.Status.UserInfo; got.Username != "mallory" || !slices.Contains(got.Groups, "strangers") {
		t.Errorf("user = %q, groups %q", got.Username, got.Groups)
	}
}

func TestServiceAccountTokenIsReviewedByAudience(t *testing.T) {
	c := cluster.Shared(t)
	client, namespace := adminClient(t, c), c.Namespace(t)
	token, err := c.ServiceAccountToken(t.Context(), namespace, "worker", "towline-policy")
	if err != nil {
		t.Fatal(err)
	}
	review := func(audience string) authenticationv1.TokenReviewStatus {
		t.Helper()
		answer, err := client.AuthenticationV1().TokenReviews().Create(t.Context(), &authenticationv1.TokenReview{
			Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{audience}},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return answer.Status
	}
	status := review("towline-policy")
	want := "system:serviceaccount:" + namespace + ":worker"
	if !status.Authenticated || status.User.Username != want || !slices.Equal(status.Audiences, []string{"towline-policy"}) {
		t.Errorf("review = %+v, want %s", status, want)
	}
	if status := review("somebody-else"); status.Authenticated {
		t.Errorf("review for a foreign audience = %+v", status)
	}
}

func TestKubeconfigForAToken(t *testing.T) {
	c := cluster.Shared(t)
	namespace := c.Namespace(t)
	token, err := c.ServiceAccountToken(t.Context(), namespace, "worker")
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig, err := c.KubeconfigFor(token)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := clientcmd.RESTConfigFromKubeConfig(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.CertData) > 0 {
		t.Error("the kubeconfig carries the administrator's certificate")
	}
	client := clientFor(t, cfg)
	review, err := client.AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := review.Status.UserInfo.Username, "system:serviceaccount:"+namespace+":worker"; got != want {
		t.Errorf("user = %q, want %q", got, want)
	}
}

func TestServiceAccountTokenMakesItsNamespace(t *testing.T) {
	c := cluster.Shared(t)
	client, namespace := adminClient(t, c), c.Namespace(t)+"-more"
	t.Cleanup(func() {
		_ = client.CoreV1().Namespaces().Delete(context.Background(), namespace, metav1.DeleteOptions{})
	})
	for range 2 { // the second time everything exists
		if _, err := c.ServiceAccountToken(t.Context(), namespace, "worker"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNamespaceIsNamedAfterItsTestAndDeleted(t *testing.T) {
	c := cluster.Shared(t)
	client := adminClient(t, c)
	var name string
	t.Run("Sub test/with_a Name!", func(t *testing.T) {
		name = c.Namespace(t)
		if want := "testnamespaceisnamedafteritstestanddelet-"; !strings.HasPrefix(name, want) {
			t.Errorf("name = %q, want %s...", name, want)
		}
		if other := c.Namespace(t); other == name {
			t.Errorf("two namespaces called %q", name)
		}
		if _, err := client.CoreV1().ServiceAccounts(name).Get(t.Context(), "default", metav1.GetOptions{}); err != nil {
			t.Error(err)
		}
	})
	ns, err := client.CoreV1().Namespaces().Get(t.Context(), name, metav1.GetOptions{})
	if err == nil && ns.DeletionTimestamp == nil {
		t.Errorf("namespace %s is not being deleted", name)
	}
}

func adminConfig(t *testing.T, c *cluster.Cluster) *rest.Config {
	t.Helper()
	cfg, err := c.RESTConfig()
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func adminClient(t *testing.T, c *cluster.Cluster) kubernetes.Interface {
	t.Helper()
	return clientFor(t, adminConfig(t, c))
}

func clientFor(t *testing.T, cfg *rest.Config) kubernetes.Interface {
	t.Helper()
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// eventually polls until check holds; controllers work at their own pace.
func eventually(t *testing.T, what string, check func(context.Context) (bool, error)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := check(ctx)
		if ok {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not there in time (last error: %v)", what, err)
		case <-tick.C:
		}
	}
}
